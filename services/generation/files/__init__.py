"""Files: uploaded pictures and made videos."""
