"""One fault a file: `FAULT` says what really happened and what must catch it, `strike(scene)` puts it into a job.

The modules are read outside cells too: what they patch they name by text, and import it when they strike.
"""
