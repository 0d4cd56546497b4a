"""One mail (``.eml``): who wrote to whom about what, and what was written.

The plain part is read, or the text of the HTML part where there is no other. Attachments are named
and not opened.
"""

from __future__ import annotations

from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser

from studiolo.errors import MalformedFileError
from studiolo.retrieval.document import Extract, Growing
from studiolo.retrieval.readers.html import read_html

_HEADS = ("From", "To", "Cc", "Date")


def read_mail(data: bytes) -> Extract:
    """The subject as a heading, the heads that people read, and the text."""
    try:
        message = BytesParser(EmailMessage, policy=policy.default).parsebytes(data)
        if not message.keys():
            raise MalformedFileError("has no mail's heads")
        out = Growing()
        out.line(str(message["Subject"] or "(no subject)"), 1)
        for name in _HEADS:
            if message[name]:
                out.line(f"{name}: {message[name]}")
        out.line("")
        body = message.get_body(("plain", "html"))
        if body is not None:
            out.line(_text(body))
        for part in message.iter_attachments() if message.is_multipart() else ():
            out.line(f"Attachment: {part.get_filename() or part.get_content_type()}")
        found = out.extract()
        found.text.encode()
    except MalformedFileError:
        raise
    except Exception as error:  # the parser raises whatever the damage leads to
        why = f"{type(error).__name__}: {error}"
        raise MalformedFileError(f"is no mail that can be read: {why:.200}") from None
    return found


def _text(part: MIMEPart) -> str:
    content = part.get_content()
    text = content if isinstance(content, str) else bytes(content).decode("utf-8", "replace")
    if part.get_content_type() == "text/html":
        text = read_html(text.encode("utf-8", "replace")).text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\0", "")
