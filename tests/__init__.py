"""The tests of deltaproof. Each folder mirrors one of the source tree."""
