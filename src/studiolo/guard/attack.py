r"""Attacks on the prompt: text that wants a model to drop its rules, in the words such texts use.

Each sign has a weight :math:`w_i`, the probability that a text with this sign alone is an attack,
and the score is that of independent signs:

.. math:: s = 1 - \prod_i (1 - w_i)

It knows the moves (forget what you were told; be somebody without rules; show what you were told;
answer twice) and not the intent. The same signs tell orders in a retrieved passage. What it finds
and what it misses is measured by ``bench/attacks.py``; the weights were set by hand, before that
was run. Deliberately unknown here: what else a text says.
"""

from __future__ import annotations

import math
import re

_THEM = (
    r"(?:instructions?|prompts?|rules?|guidelines?|polic(?:y|ies)|directives?|commands?|orders?)"
)
_DROP = r"(?:ignore|disregard|forget|override|bypass|neglect|discard|break|violate|overlook)"

_SIGNS: tuple[tuple[str, float], ...] = (
    (
        rf"{_DROP} (?:\w+ ){{0,4}}(?:previous|prior|above|earlier|preceding|existing|given|"
        rf"your) (?:\w+ ){{0,3}}{_THEM}",
        0.9,
    ),
    (rf"{_DROP} (?:all|any|every|the|these|those)(?: of)?(?: \w+){{0,4}} {_THEM}", 0.8),
    (
        r"(?:do not|don't|never|no longer) (?:have to |need to )?(?:follow|obey|abide|comply|"
        rf"adhere)(?: \w+){{0,5}} {_THEM}",
        0.7,
    ),
    (
        r"(?:forget|ignore) (?:everything|all)(?: \w+){0,3} (?:before|above|told|said|learned|"
        r"know|previously)",
        0.8,
    ),
    (r"\bdo anything now\b|\bDAN\b|\bjail ?br(?:eak|oken)\w*", 0.8),
    (r"\b(?:developer|debug|god|sudo|admin|unrestricted|unfiltered|chaos|evil) mode\b", 0.7),
    (
        r"(?:no|without|free (?:of|from)|lacks?|not bound by|unbound by|not limited by|"
        r"any)(?: \w+){0,4} (?:restrictions?|limitations?|filters?|censorship|boundaries|"
        r"moral(?:s|ity)|ethic(?:s|al)(?: \w+)?|guardrails|safeguards|inhibitions)",
        0.5,
    ),
    (
        r"\b(?:unrestricted|unfiltered|uncensored|amoral|immoral|unethical|"
        r"unbiased and unfiltered|no-filter)\b",
        0.4,
    ),
    (
        r"(?:openai|anthropic|content|usage|safety|moderation|"
        r"company)(?:'s)? (?:\w+ )?(?:polic(?:y|ies)|guidelines|filters?|rules)",
        0.4,
    ),
    (
        r"(?:never|do not|don't|cannot|must not|won't) (?:ever )?(?:refuse|decline|reject|"
        r"say (?:no|that you (?:can't|cannot))|warn|apologi[sz]e|break character|"
        r"mention (?:that )?you)",
        0.5,
    ),
    (r"(?:stay|remain|be|keep) in character|(?:break|breaking) character|\bstop being\b", 0.4),
    (
        r"(?:you are|you're|you will be|you shall be|you'll be) (?:now |"
        r"going to )?(?:act(?:ing)? as |pretend(?:ing)? to be |play(?:ing)? (?:the )?role|becom|"
        r"free from)",
        0.35,
    ),
    (
        r"(?:from now on|for the rest of (?:this|the|our) conversation|"
        r"henceforth)[^.\n]{0,80}\b(?:you|act|respond|answer)\b",
        0.4,
    ),
    (
        r"\b(?:act|pretend|roleplay|role-play|behave|respond|answer|"
        r"simulate)(?:ing)?\b[^.\n]{0,40}\b(?:as|like|to be)\b[^.\n]{0,60}\b(?:ai|chatbot|"
        r"assistant|character|persona|evil|hacker|machiavelli\w*|chatgpt|gpt)\b",
        0.3,
    ),
    (
        r"(?:two|2|both|dual|double) (?:different |separate |distinct )?(?:responses?|answers?|"
        r"ways|paragraphs|outputs)\b",
        0.35,
    ),
    (r"\[?(?:🔒|🔓)|\(🔓|\bclassic\b[^\n]{0,80}\bjailbreak\b", 0.7),
    (
        r"(?:reveal|show|print|repeat|output|display|tell me|what (?:is|are)|leak|"
        r"give me)(?: \w+){0,4} (?:system prompt|initial prompt|hidden prompt|(?:system|original|"
        r"initial|hidden|secret|your) (?:instructions|rules|prompt))",
        0.7,
    ),
    (r"\brepeat (?:everything|all|the (?:words|text))(?: \w+){0,3} (?:above|before)", 0.7),
    (
        r"(?:^|\n)\s*(?:#+\s*)?(?:system|assistant|developer)\s*(?:prompt|message|note|override|"
        r"instructions?)?\s*:|<\|?(?:im_start|system|/?inst)\|?>|\[/?INST\]|<</?SYS>>",
        0.5,
    ),
    (
        r"(?:attention|note|message|instructions?|important)(?: \w+){0,3} (?:to|"
        r"for) (?:the )?(?:ai|llm|language model|assistant|chatbot|model)s?\b",
        0.5,
    ),
    (
        r"(?:instead|rather)[, ]+(?:of [^.\n]{0,40})?(?:you (?:must|should|will|shall)|please|"
        r"just|only)? ?(?:reply|respond|say|write|output|send|answer|print)\b",
        0.3,
    ),
    (
        r"(?:send|forward|exfiltrate|post|upload|email)(?: \w+){0,6} (?:to|at) (?:https?://|"
        r"\S+@\S+|this (?:url|address))",
        0.35,
    ),
    (
        r"(?:illegal|harmful|dangerous|inappropriate|offensive|nsfw|explicit|unsafe)(?:,? (?:and|"
        r"or)? ?\w+){0,3} (?:content|requests?|questions?|things|activit(?:y|ies)|information|"
        r"advice|topics|material)",
        0.3,
    ),
    (
        r"(?:hypothetical|fictional|imaginary)(?: \w+){0,3} (?:response|story|scenario|world|"
        r"dialogue|character)",
        0.25,
    ),
    (r"\b(?:tokens?|points)\b[^.\n]{0,80}\b(?:deducted|lose|subtract|die|deduct|taken)\b", 0.5),
    (
        r"(?:remind(?:ed)?|say|command|type)[^.\n]{0,30}[\"“'](?:stay a|stay in|/?\w+ mode|"
        r"/?jailbreak)",
        0.5,
    ),
    (
        r"(?:as an ai language model|i'm sorry,? (?:but )?i can(?:no|')t|i cannot (?:assist|help|"
        r"fulfil))",
        0.35,
    ),
)

SIGNS = tuple((re.compile(sign, re.IGNORECASE), weight) for sign, weight in _SIGNS)


def attack_score(text: str) -> float:
    """0 to 1, and the more signs the nearer to 1. Of a long text its first 20,000 characters."""
    read = re.sub(r"[ \t\r\f\v]+", " ", text[:20_000]).replace("’", "'")
    left = math.prod(1 - weight for sign, weight in SIGNS if sign.search(read))
    return 1 - left
