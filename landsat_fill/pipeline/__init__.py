"""From a request to finished files: planning, filling strip by strip, composing, reporting."""
