"""Views of one `Report` record: JSON (the record itself), HTML, JUnit, Markdown, terminal. Nothing is judged here.

Outside world. Every text of a report may have come from a stranger's file: it is cleaned in `text` and escaped by each
renderer.
"""
