"""The whole of it in real environments: uv builds them, packages under test train, save and reload in them."""
