"""Views of what canaries say."""
