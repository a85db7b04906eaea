"""Classical codecs for rate-distortion curves: those of `pillow-inr compare`, with other settings."""

from dataclasses import replace

from pillow_inr.report import compare

# The settings cover means from 22 to over 40 dB on photographs; WebP and AVIF's default have none below.
CODECS = (
    replace(compare.JPEG, values=(1, 3, 5, 7, 10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 97)),
    replace(compare.JPEG2000, values=(480, 320, 240, 160, 120, 80, 60, 48, 36, 30, 24, 19, 16, 12, 9, 7, 5)),
    replace(compare.WEBP, values=(0, 2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95)),
    replace(compare.AVIF, values=(0, 5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90)),
    replace(
        compare.AVIF,
        name="avif-psnr",
        label="AVIF 4:4:4 psnr s2",
        fixed={"speed": 2, "subsampling": "4:4:4", "advanced": {"tune": "psnr"}, "max_threads": 1},
        values=(0, 5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80),
    ),
)
