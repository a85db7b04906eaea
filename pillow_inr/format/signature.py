"""What tells an .inr file from others: Pillow's name for the format, its ending, its MIME type, its first bytes.

Imports nothing: every program that imports Pillow may come by here.
"""

FORMAT = "INR"
EXTENSION = ".inr"
MIME = "image/x-inr"
# First byte above 0x7F and CR LF inside, so that a transfer in text mode is noticed (format.md section 2).
MAGIC = b"\x89INR\r\n"
INRIMAGE = b"#INRIMAGE-4#"
INRIMAGE_COMPLAINT = "this is an INRIMAGE-4 volume, another format that shares the extension .inr"
