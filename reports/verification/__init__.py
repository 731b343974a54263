"""Views of one `VerifyReport`: text for a terminal, the JSON that jobs read, and a page with a picture. Judges nothing.

Names and messages may be a stranger's: they are cleaned here (`reports.text`) and escaped by each renderer.
"""
