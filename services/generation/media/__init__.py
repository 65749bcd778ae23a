"""The media process: uploads and downloads over plain HTTP behind the edge."""
