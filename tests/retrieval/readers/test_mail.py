from __future__ import annotations

from email.message import EmailMessage

from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError
from studiolo.retrieval.readers.mail import read_mail
from tests.retrieval.small import refused


def mail(text: str, html: str | None = None, attached: bool = False) -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = "Grüße vom Fluss", "Zoë <z@x.org>", "ada@x.org"
    made["Date"] = "Tue, 24 Nov 2026 10:00:00 +0000"
    if text:
        made.set_content(text)
    if html is not None:
        if text:
            made.add_alternative(html, subtype="html")
        else:
            made.set_content(html, subtype="html")
    if attached:
        made.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="map.pdf")
    return made.as_bytes()


def test_heads_text_and_names_of_attachments() -> None:
    found = read_mail(mail("The streets were wet.\nReally.\n", "<p>no</p>", attached=True))
    lines = found.text.split("\n")
    assert lines[0] == "Grüße vom Fluss"
    assert {"From: Zoë <z@x.org>", "To: ada@x.org", "Attachment: map.pdf"} <= set(lines)
    assert "The streets were wet." in lines
    assert "no" not in lines
    assert found.headings[0].title == "Grüße vom Fluss"


def test_html_alone_is_read_as_text() -> None:
    found = read_mail(mail("", "<h1>News</h1><p>Wet <b>streets</b></p><script>x</script>"))
    assert "Wet streets" in found.text
    assert "script" not in found.text


def test_what_has_no_heads_is_no_mail() -> None:
    with refused("has no mail's heads"):
        read_mail(b"\n\njust text")


WHOLE = mail("a", "b")


@settings(max_examples=100, deadline=None)
@given(st.binary() | st.binary().map(lambda rest: WHOLE[:200] + rest))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        text = read_mail(data).text
    except MalformedFileError:
        return
    assert text.encode("utf-8", "replace").decode() == text
