"""A corpus is built: documents through the steps, a tokenizer, shards, and a manifest at the end.

Two passes: the first reads the sources and lays aside what is kept, the second spells it. Nothing
grows with the corpus but files: copies are looked up in a table on disk. All is written in a folder
beside its place, and moved there whole when the manifest is in it, so that a build that is killed
leaves nothing that looks finished. Deliberately unknown here: terminals and arguments.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from studiolo.bundle.manifest import FilePin, digest_of, hash_file
from studiolo.errors import InvalidRequestError, MalformedFileError, NoSpaceError, SourceError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.record.journal import force_directory, replace_file
from studiolo.training.corpus.account import bytes_per_token, emptied, report, total_of
from studiolo.training.corpus.chain import Chain, Outcome
from studiolo.training.corpus.chance import chance
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.examined import examined_in
from studiolo.training.corpus.files import File, files
from studiolo.training.corpus.gate import Gate, Masker
from studiolo.training.corpus.kinds import SUFFIXES, Kind
from studiolo.training.corpus.licences import check_licences, licence_of
from studiolo.training.corpus.manifest import NAME, CorpusManifest
from studiolo.training.corpus.recipe import CorpusRecipe, SourceRecipe, StepsRecipe
from studiolo.training.corpus.seen import Seen
from studiolo.training.corpus.stage import Stage
from studiolo.training.corpus.steps.language import check_codes
from studiolo.training.corpus.tally import Tally
from studiolo.training.corpus.vocabulary import check_size, open_tokenizer, train_tokenizer
from studiolo.training.corpus.writing import Writer

DRAFT = ".studiolo-build"
"""Ends the name of the folder that a build works in, which none but a build may have made."""
Progress = Callable[[str, int, int], None]
"""Told what is being done, how many bytes of it are done, and how many there are (0: unknown)."""
Hands = Callable[[Chain, Iterable[File]], Iterator[tuple[File, Iterator[Outcome | Unreadable]]]]
"""Who carries files through a chain: gives back every file, in order, with what came of it."""


def here(
    chain: Chain, every: Iterable[File]
) -> Iterator[tuple[File, Iterator[Outcome | Unreadable]]]:
    """One file after the other, in this process; a :data:`Hands`."""
    for file in every:
        yield file, chain.outcomes(file)


class Build:
    """One recipe, carried out once in ``out``."""

    def __init__(
        self,
        recipe: CorpusRecipe,
        out: Path,
        *,
        masker: Masker | None = None,
        hands: Hands = here,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        """Look at what can be seen before anything is read.

        ``masker``: what personal data become, where the recipe says ``mask``. Raises
        :class:`InvalidRequestError`, naming the field, for a folder that is not empty, sources
        that are not there, a masker that is not, and licences that cannot both be kept.
        """
        if recipe.mask and masker is None:
            raise InvalidRequestError(
                "mask", "is asked for, and no masker was given", remedy="Build(…, masker=…)"
            )
        self.recipe, self.out = recipe, Path(os.path.abspath(out))  # `.` has a name, too
        self._masker = masker if recipe.mask else None
        self._hands, self._progress = hands, progress
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise InvalidRequestError(
                "out",
                f"{str(out)!r} is there and is not an empty folder",
                remedy="Name another folder, or delete this one.",
            )
        self._draft = self.out.with_name(f".{self.out.name}{DRAFT}")
        self._done = self._total = 0
        for source in recipe.sources:
            if source.hf is None:
                self._total += sum(file.path.stat().st_size for file in files(source))
        check_licences(recipe)

    def carry_out(self) -> CorpusManifest:
        """Build; give back the manifest that lies in the folder then.

        Raises :class:`MalformedFileError` for what cannot be read, where the recipe does not say
        that it may be skipped, :class:`InvalidRequestError` if nothing is left for training,
        :class:`NoSpaceError` if the disk is full; then, and at Ctrl-C, nothing is left behind.
        """
        try:
            shutil.rmtree(self._draft, ignore_errors=True)
            self._draft.mkdir(parents=True)
            manifest = self._built()
            force_directory(self._draft)
            self._draft.replace(self.out)
            force_directory(self.out.parent)
        except OSError as error:
            raise _unwritten(self.out, error) from error
        finally:
            shutil.rmtree(self._draft, ignore_errors=True)
        return manifest

    def _built(self) -> CorpusManifest:
        recipe = self.recipe
        # What would end a build after hours is tried first.
        asked = recipe.tokenizer.model
        tokenizer = None if asked is None else open_tokenizer(asked)
        chains = self._chains()
        work = self._draft / "work"
        work.mkdir()
        tallies: list[Tally] = []
        stages: list[Stage] = []
        digests: list[str] = []
        with Seen(work / "seen.db") as seen:
            gate = Gate(seen, self._masker)
            for number, chain in enumerate(chains):
                tally, stage = Tally(), Stage(work / f"{number}.jsonl")
                digests.append(self._read(chain, tally, stage, gate))
                tallies.append(tally)
                stages.append(stage)
        licence = licence_of(recipe, tallies)
        kept = sum(tally.kept.bytes for tally in tallies)
        if not kept:
            raise emptied(tallies)
        if tokenizer is None:
            tokenizer = self._tokenizer(stages, kept)
        check_size(tokenizer)
        tokenizer.save(self._draft)
        total = round(
            sum(
                tally.kept.bytes * source.weight
                for tally, source in zip(tallies, recipe.sources, strict=True)
            )
        )
        done = 0

        def wrote(size: int) -> None:
            nonlocal done
            done += size
            self._progress("writing", done, total)

        with Writer(self._draft, tokenizer, recipe) as writer:
            written = [
                writer.write(source, stage, wrote)
                for source, stage in zip(recipe.sources, stages, strict=True)
            ]
            pins = writer.close() | self._spelling_files()
        shutil.rmtree(work)
        reports = [
            report(*each) for each in zip(recipe.sources, digests, tallies, written, strict=True)
        ]
        training = total_of(each.training for each in reports)
        if not training.tokens:
            raise InvalidRequestError(
                "sources",
                "every document that is left is held out, and none is trained on",
                remedy="Lower the sources' validation, or give more documents.",
            )
        validation = total_of(each.validation for each in reports)
        manifest = CorpusManifest(
            name=recipe.name,
            licence=licence,
            digest=digest_of(pin.sha256 for pin in pins.values()),
            dtype=writer.dtype,
            vocabulary=tokenizer.vocab_size,
            end=writer.end,
            training=training,
            validation=validation,
            bytes_per_token=bytes_per_token(training, validation),
            sources=tuple(reports),
            files=dict(sorted(pins.items())),
            recipe_digest=recipe.digest,
            recipe=recipe.model_dump(mode="json", exclude_unset=True),
        )
        replace_file(self._draft / NAME, manifest.model_dump_json(indent=1).encode() + b"\n")
        return manifest

    def _chains(self) -> list[Chain]:
        """The steps of every source; what they need to know is read now."""
        rules: list[dict[Kind, StepsRecipe]] = [
            {kind: self.recipe.steps_of(source, kind) for kind in SUFFIXES}
            for source in self.recipe.sources
        ]
        every = [steps for each in rules for steps in each.values()]
        for steps in every:
            check_codes(steps.language)
        examined = examined_in(every)
        return [
            Chain(source, own, examined)
            for source, own in zip(self.recipe.sources, rules, strict=True)
        ]

    def _read(self, chain: Chain, tally: Tally, stage: Stage, gate: Gate) -> str:
        """Carry a source through; the digest of its files."""
        source, rules = chain.source, chain.rules
        skip = (source.on_error or self.recipe.on_error) == "skip"
        digest, what = hashlib.sha256(), f"reading {source.name}"
        with stage:
            for file, outcomes in self._hands(chain, files(source)):
                tally.file(file.kind)
                within = 0
                for outcome in outcomes:
                    if isinstance(outcome, Unreadable):
                        if not skip:
                            raise _refused(source, outcome)
                        tally.unreadable(outcome)
                        continue
                    within += outcome.read
                    self._progress(what, self._done + within, self._total)
                    passed = gate.passed(outcome, rules[file.kind])
                    tally.outcome(passed)
                    if passed.dropped is None:
                        stage.add(passed.document)
                sha256, size = _hashed(file.path)
                digest.update(f"{file.name}\0{sha256}\n".encode("utf-8", "surrogateescape"))
                self._done += size
                self._progress(what, self._done, self._total)
        return digest.hexdigest()

    def _tokenizer(self, stages: list[Stage], kept: int) -> Tokenizer:
        """One made of at most so many bytes as the recipe says, of ``kept``."""
        train = self.recipe.tokenizer.train
        if train is None:
            raise ValueError("a recipe has one of the two")
        part, total = train.bytes / kept, min(kept, train.bytes)

        def texts() -> Iterator[str]:
            done = 0
            for source, stage in zip(self.recipe.sources, stages, strict=True):
                for document in stage.documents(source.name):
                    if chance(self.recipe.seed, "tokenizer", document.text) < part:
                        yield document.text
                        done += len(document.text)
                        self._progress("making the tokenizer", done, total)

        return train_tokenizer(texts(), train.vocabulary)

    def _spelling_files(self) -> dict[str, FilePin]:
        names = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
        paths = [self._draft / name for name in names]
        return {path.name: hash_file(path) for path in paths if path.is_file()}


def _hashed(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file; nothing of one that cannot be read, which has been told."""
    try:
        pin = hash_file(path)
    except OSError:
        return "", 0
    return pin.sha256, pin.size


def _refused(source: SourceRecipe, said: Unreadable) -> MalformedFileError:
    file, sharp, part = said.identity.rpartition("#")
    where = f"{file}, row {part}" if sharp else said.identity
    return MalformedFileError(
        f"source {source.name}: {where}: {said.why}",
        remedy="Mend or remove it; on_error=skip leaves such files and rows out, and counts them.",
    )


def _unwritten(path: Path, error: OSError) -> NoSpaceError | SourceError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceError(
            f"{path}: the disk is full; nothing of the corpus is left there",
            remedy="Make room: a build needs about twice the size of the text that is kept.",
        )
    return SourceError(f"{path}: cannot be written: {error.strerror or error}")
