"""The files room: uploaded pictures and made videos."""
