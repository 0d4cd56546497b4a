"""Files to texts with places: one reader for each kind of file.

A reader is a function from a file's bytes to an :class:`~studiolo.retrieval.document.Extract`. It
raises :class:`~studiolo.errors.MalformedFileError` for what it cannot read, and
:class:`~studiolo.errors.MissingExtraError` without its library.
"""
