"""One module for each noun; command ``x`` is ``x_command`` in its module."""
