"""The Parquet files of a data set on the Hugging Face hub, fetched into the hub's own cache."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from studiolo.errors import InvalidRequestError, MissingExtraError, SourceError
from studiolo.training.corpus.recipe import SourceRecipe


def hub_files(source: SourceRecipe) -> Iterator[tuple[Path, str]]:
    """Path and name of every file that fits the source's pattern, fetched one by one as asked for.

    All are of one commit: that which the revision means now. Raises :class:`SourceError` if the
    hub cannot be reached or has no such data set, and :class:`InvalidRequestError` if none fits.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise MissingExtraError("reading data sets from the hub", "corpus") from None
    import httpx

    name = source.hf or ""
    suffix = f".{source.kind or 'parquet'}"
    try:
        info = HfApi().dataset_info(name, revision=source.revision)
        every = sorted(each.rfilename for each in info.siblings or ())
        fitting = [
            each for each in every if each.endswith(suffix) and fnmatch(each, source.pattern)
        ]
        if not fitting:
            raise InvalidRequestError(
                f"sources.{source.name}.pattern",
                f"{source.pattern!r} fits no {suffix} file of {name}",
                remedy=f"There are: {', '.join(every[:20]) or 'none'}.",
            )
        for each in fitting:
            yield Path(hf_hub_download(name, each, repo_type="dataset", revision=info.sha)), each
    except HFValidationError as error:
        raise InvalidRequestError(f"sources.{source.name}.hf", str(error)) from None
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise SourceError(
            f"the data set {name} cannot be fetched: {error}",
            remedy="Check the name and the connection, or fetch it by other means and give its "
            "folder by `path`.",
        ) from None
