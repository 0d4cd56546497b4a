"""The page at ``/``: a chat, every answer's tokens, and what comes next. No build step."""
