"""The HTML pages: documents in, one typed context per template out."""
