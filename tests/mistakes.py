"""What a user may do by mistake, and what the command line then says: data, for tests and docs/messages.md.

Commands are typed in the folder of studio.py. In a line, what stands in <> is another in each place or version.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Row(NamedTuple):
    """A mistake: the command, what is wrong, what is said about it after the program's name, and the exit code."""

    command: str
    cause: str
    line: str
    code: int = 1
    texts: Mapping[str, str] = {}  # files that are there besides
    missing: str = ""  # a package that is not installed
    env: Mapping[str, str] = {}
    busy: str = ""  # a folder that another run has
    leaves: tuple[str, ...] = ()  # files that are written all the same: a batch's report


TOPICS: dict[str, tuple[Row, ...]] = {
    "Commands and flags": (
        Row("", "no command", "the following arguments are required: COMMAND", code=2),
        Row(
            "stylise town.png night.png -o out.png",
            "a command that is misspelt",
            "argument COMMAND: invalid choice: 'stylise' (choose from <choices>)",
            code=2,
        ),
        Row(
            "stylize town.png",
            "no painting and no name for the result",
            "the following arguments are required: STYLE, -o/--output",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --save 3",
            "a flag that there is none of; names of flags are not completed",
            "unrecognized arguments: --save 3",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --steps",
            "a flag without its value",
            "argument --steps: expected one argument",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --mask",
            "a flag that takes files, without any",
            "argument --mask: expected at least one argument",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --pool mean",
            "a word that is none of a flag's choices",
            "argument --pool: invalid choice: 'mean' (choose from <choices>)",
            code=2,
        ),
        Row(
            "weights", "`weights` without what to do with them", "the following arguments are required: COMMAND", code=2
        ),
        Row(
            "stylize town.png night.png",
            "no name for the result",
            "the following arguments are required: -o/--output",
            code=2,
        ),
    ),
    "Pictures": (
        Row(
            "stylize missing.png night.png -o out.png",
            "a picture that is not there",
            "picture must be an existing file, got 'missing.png': check its name",
        ),
        Row(
            "stylize folder night.png -o out.png",
            "a folder in a picture's place",
            "picture must be a file, got the folder 'folder': name one file in it",
        ),
        Row(
            "stylize empty.png night.png -o out.png",
            "a file of no bytes",
            "picture must be a file with something in it, got 'empty.png': fetch it again",
        ),
        Row(
            "stylize text.png night.png -o out.png",
            "a text file named as a picture",
            "file must be a picture (PNG, JPEG, WEBP, TIFF, AVIF, GIF, BMP, DIB, ICO, JPEG2000, PCX, PPM, PSD, QOI, SGI, TGA), got 'text.png': convert it to PNG or JPEG",
        ),
        Row(
            "stylize cut.png night.png -o out.png",
            "a picture whose download was cut short",
            "picture must be whole, got 'cut.png' (<reason>): fetch it again, or convert it to PNG",
        ),
        Row(
            "stylize small.png night.png -o out.png",
            "a picture smaller than the network sees",
            "picture must be at least 16 px wide and high, got 40×15 in 'small.png': choose a larger one",
        ),
        Row(
            "stylize bright.tif night.png -o out.png",
            "a picture of floats that are not in 0 to 1",
            "pixels must lie in 0 to 1, got 2 to 2 in 'bright.tif': rescale them",
        ),
        Row(
            "stylize phone.heic night.png -o out.png",
            "a telephone's picture, and nothing installed that reads it",
            "picture must be of a kind that is installed, got the HEIC file 'phone.heic': pip install 'nst-jax[heif]'",
            missing="pillow_heif",
        ),
        Row(
            "stylize town.png night.png -o out.png --max-pixels 3071",
            "a picture larger than `--max-pixels`",
            "picture must hold at most 3,071 pixels, got 3,072 in 'town.png': raise --max-pixels",
        ),
        Row(
            "stylize town.png night.png -o out.png --max-pixels 4000 --size 100",
            "a result larger than `--max-pixels`",
            "picture must hold at most 4,000 pixels, got 100×75: lower --size or raise --max-pixels",
        ),
        Row(
            "stylize town.png night.png -o out.png --max-pixels 4000 --size 64 --style-size 90",
            "a painting that would be enlarged beyond `--max-pixels`",
            "style must hold at most 4,000 pixels, got 90×72: lower --style-scale or --style-size",
        ),
        Row(
            "stylize wide.png night.png -o out.png --size 64",
            "a size that leaves a narrow picture's short edge too small",
            "picture must be at least 16 px wide and high, got 64×6 from 160×16: raise --size to 160, or crop the picture",
        ),
        Row(
            "stylize http://example.org/town.png night.png -o out.png",
            "an address that is not https",
            "picture must be one that can be fetched, got http://example.org/town.png (address must be https, got http://example.org/town.png): save it, and name the file",
        ),
        Row(
            "stylize https://me@example.org/town.png night.png -o out.png",
            "an address with a user's name in it",
            "picture must be one that can be fetched, got https://me@example.org/town.png (address must hold no user name, space or control character): save it, and name the file",
        ),
        Row(
            "stylize https://127.0.0.1/town.png night.png -o out.png",
            "an address that is not on the internet",
            "picture must be one that can be fetched, got https://127.0.0.1/town.png (host must be on the internet, got 127.0.0.1): save it, and name the file",
        ),
    ),
    "Where results go": (
        Row(
            "stylize town.png night.png -o out.xcf",
            "a kind of file that is not written",
            "argument -o/--output: suffix of 'out.xcf' must be one of .png, .jpg, .jpeg, .webp, .tif, .tiff, .bmp, .avif, got '.xcf': did you mean .tif?",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.pmg",
            "a suffix that is misspelt",
            "argument -o/--output: suffix of 'out.pmg' must be one of .png, .jpg, .jpeg, .webp, .tif, .tiff, .bmp, .avif, got '.pmg': did you mean .png?",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o no/out.png",
            "a folder that is not there",
            "--output must be in an existing folder, got 'no/out.png': make '<here>/no' first",
        ),
        Row(
            "stylize town.png night.png -o text.txt/out.png",
            "a file in a folder's place",
            "--output must be in a folder, got 'text.txt/out.png', but '<here>/text.txt' is none: choose another",
        ),
        Row(
            "stylize town.png night.png -o folder.png",
            "a folder of the result's name",
            "--output must be a file, got the folder 'folder.png': add a file's name",
        ),
        Row(
            "stylize town.png night.png -o /proc/self/out.png",
            "a folder that may not be written",
            "--output must be writable, got '/proc/self/out.png' (<reason>): choose another place",
        ),
        Row(
            "stylize town.png night.png -o town.png",
            "a result named as what it is made of",
            "--output must not be a file that the run needs, got 'town.png' twice: choose another name",
        ),
        Row(
            "stylize town.png night.png -o out.png --log out.png",
            "two results of one name",
            "--output must not be a file that the run needs, got 'out.png' twice: choose another name",
        ),
        Row(
            "stylize town.png night.png -o out.png --log no/log",
            "a log in a folder that is not there",
            "--log must be in an existing folder, got 'no/log': make 'no' first",
        ),
        Row(
            "stylize town.png night.png -o out.png --log folder",
            "a folder in the log's place",
            "--log must be a file, got the folder 'folder': add a file's name",
        ),
        Row(
            "stylize town.png night.png -o out.png --log /proc/self/log",
            "a log in a folder that may not be written",
            "--log must be writable, got '/proc/self/log': choose another place",
        ),
        Row(
            "stylize town.png night.png -o out.png --save-every 1 --folder text.txt",
            "a file in the place of a folder for pictures on the way",
            "folder must not be a file, got 'text.txt': choose another name",
        ),
        Row(
            "stylize town.png night.png -o out.png --folder steps",
            "a folder for pictures on the way, and none are stored",
            "--folder must go with --save-every, got no --save-every: add --save-every 50",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --report report",
            "a report, and nothing installed that draws its curves",
            "matplotlib must be installed, got none: pip install 'nst-jax[plot]'",
            missing="matplotlib",
        ),
        Row(
            "stylize town.png night.png -o out.jpg --bits 16",
            "16 bits in a kind of file that has 8",
            "--bits must be 8, or 16 in .png, .tif, .tiff, got 16 for 'out.jpg': change either",
        ),
        Row(
            "stylize town.png night.png -o out.webp --size 16400x16",
            "a picture longer than its kind of file may be",
            "picture in .webp must be at most 16383 px long, got 16400×16: write a .png",
        ),
    ),
    "Numbers and words": (
        Row(
            "stylize town.png night.png -o out.png --size 8",
            "a size too small, or no size",
            "argument --size: must be N or WIDTHxHEIGHT with edges from 16 px, got '8'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --steps 0",
            "a number of steps that is none",
            "argument --steps: must be a whole number from 1, got '0'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --steps 9999999999999999",
            "a number beyond all bounds",
            "argument --steps: must be at most 1e+15, got '9999999999999999'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --content-weight -1",
            "a weight below 0, or no number",
            "argument --content-weight: must be a number from 0 to 1e30, got '-1'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --learning-rate 0",
            "a step size that is 0, or no number",
            "argument --learning-rate: must be a number above 0, got '0'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --b1 1",
            "a decay that never decays",
            "argument --b1: must be a number from 0 to below 1, got '1'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --strength 2",
            "a strength above 1",
            "argument --strength: must be a number from 0 to 1, got '2'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --seed -1",
            "a seed that is none",
            "argument --seed: must be a whole number from 0 to 4294967295, got '-1'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --bits 12",
            "a number of bits that no file has",
            "argument --bits: must be 8 or 16, got '12'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --max-memory lots",
            "a size of memory that is none",
            "argument --max-memory: must be a size like 4GB or 512MB, got 'lots'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --ladder 8,16",
            "a size too small among the sizes",
            "argument --ladder: must be whole numbers from 16, as in 128,181,256 or 128:500,256:250, got '8'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --ladder 256,128",
            "sizes that do not ascend",
            "argument --ladder: must ascend, got '256,128': write 128,256",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --init mix:2",
            "a share of noise above 1",
            "argument --init: start must be mix:RATIO with a share of noise from 0 to 1, as in mix:0.6, got 'mix:2'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --init contnt",
            "a start that is misspelt, or a file that is not there",
            "argument --init: start must be one of content, style, statistics, noise, gaussian, grain, mix, or a picture file, got 'contnt': did you mean content?",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --keep bets",
            "a word for what is kept that is misspelt",
            "argument --keep: must be clamped, best, averaged:DECAY or none, got 'bets'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --colour styl",
            "a mode of colours that is misspelt",
            "argument --colour: colour must be one of style, content-luminance, match-chol, match-pca, match-sym, palette:FILE, only, got 'styl': did you mean style?",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --recipe gatys-notebok",
            "a recipe that is misspelt",
            "argument --recipe: recipe must be one of <N> names, got 'gatys-notebok': did you mean gatys-notebook?",
            code=2,
        ),
        Row(
            "recipes gatys-notebok",
            "the same, asked for alone",
            "argument NAME: recipe must be one of <N> names, got 'gatys-notebok': did you mean gatys-notebook?",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --content-layers relu4_9",
            "a layer that the network has not",
            "argument --content-layers: layer must be one of the network's 37 maps, got 'relu4_9': did you mean relu4_4?",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --style-layers relu1_1,relu1_1",
            "a layer that is named twice",
            "argument --style-layers: must name each layer once, got relu1_1 twice in 'relu1_1,relu1_1'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --style-layers columns",
            "columns where a map is asked for",
            "argument --style-layers: must be maps of one size, got 'columns': columns are for --neighbour-layers",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --style-mix 0,0",
            "shares that are all 0",
            "argument --style-mix: must not all be 0, got '0,0'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --mesh space",
            "a mesh that is none",
            "argument --mesh: must be data=N, space=M or both, got 'space': write data=4,space=2",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --checkpoint kept --checkpoint-every often",
            "a pace that is none",
            "argument --checkpoint-every: must be seconds or steps above 0, got 'often': write 90s, or 100",
            code=2,
        ),
        Row(
            "sweep town.png night.png -o out --style-weight 1:2",
            "a range without a number of values",
            "argument --style-weight: must be a list, FROM:TO:N above 0, or lin:FROM:TO:N, N from 2 to 1000, got '1:2'",
            code=2,
        ),
        Row(
            "sweep town.png night.png -o out --style-weight 1,1",
            "a value twice",
            "argument --style-weight: must be values that differ, got '1,1'",
            code=2,
        ),
        Row(
            "batch jobs.csv -o out --share 3/2",
            "a share that is none",
            "argument --share: must be K/N with K from 1 to N, got '3/2'",
            code=2,
        ),
        Row(
            "demo --style wodcut",
            "a sample picture that is misspelt",
            "sample must be one of skyline, landscape, still_life, flow, mosaic, pointillism, woodcut, cubist, watercolour, stained_glass, got 'wodcut': did you mean woodcut?",
            code=2,
        ),
    ),
    "What does not go together": (
        Row(
            "stylize town.png night.png -o out.png --network fast --style-layers pool5",
            "a layer that the fast network has nothing like",
            "layer must be of the stride of one of relu1_1, relu2_1, relu3_1, relu4_1, relu4_2, relu5_1, got pool5: take VGG19 itself",
        ),
        Row(
            "stylize town.png night.png -o out.png --network fast --preview",
            "two networks",
            "--network must be named once, got several of --network, --weights and --preview: drop all but one",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --minutes 5 --steps 100",
            "two ends of a run",
            "--minutes must not go with --steps, got both, and either says how many there are: drop one of them",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --save-every 1 --colour only",
            "pictures on the way where nothing is painted",
            "--save-every must not go with --colour only, which paints nothing: drop it",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --steps 1 --ladder 16,32",
            "fewer steps than sizes",
            "--steps must be at least 2, one at each size, got 1: give more, or fewer sizes",
        ),
        Row(
            "stylize town.png night.png -o out.png --content-weight 1e30 --content-layers relu4_2:1e20",
            "weights that come to more than a number in a computer holds",
            "weight of relu4_2 must be at most 3e+38 in all, got 1e+50: lower --content-weight, --style-weight, --tv-weight"
            " or its own",
        ),
        Row(
            "stylize town.png night.png -o out.png --content-weight 0 --style-weight 0 --tv-weight 0",
            "weights that are all 0",
            "weights must not all be zero, got nothing to paint after: raise one of them",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --optimizer adam --memory 5",
            "a setting of another optimizer",
            "--memory must go with lbfgs, got adam: add --optimizer lbfgs",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --colour only --mask halves.png",
            "a mask where nothing is painted",
            "--mask must not go with --colour only, which paints nothing: drop it",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --colour only --style-mix ramp",
            "a ramp where nothing is painted",
            "--style-mix must be shares with --colour only, got ramp: write 2,1",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --fast-first 1000",
            "more of the last steps than there are",
            "--fast-first must leave from 1 to 29 of the steps at full size, got 1000: lower --fast-first",
        ),
        Row(
            "stylize town.png night.png -o out.png --fast-first 5 --recipe gatys-2016",
            "the fast network before a recipe of filters that are scaled",
            "--fast-first must go with a recipe for filters as they are, got gatys-2016: choose another",
        ),
        Row(
            "stylize town.png night.png -o out.png --fast-first 5 --weights torchvision.h5",
            "the fast network before another family's",
            "--fast-first must go with a network of the caffe family, got torchvision: drop --weights",
        ),
        Row(
            "stylize town.png night.png -o out.png --checkpoint-every 90s",
            "how often a run is kept, and not where",
            "--checkpoint-every must go with --checkpoint, got none: add --checkpoint DIR",
            code=2,
        ),
        Row(
            "sweep town.png night.png -o out",
            "a sweep without values",
            "a sweep must paint from 2 to 10000 pictures, got 1: --style-weight .1:100:8 makes eight",
            code=2,
        ),
        Row(
            "sweep town.png night.png -o out --style-weight 1,2 --colour only",
            "a sweep that paints nothing",
            "--colour must paint something here, got only: use `nst-jax stylize` for that",
            code=2,
        ),
        Row(
            "batch jobs.csv -o out --colour only",
            "a batch that paints nothing",
            "--colour must paint something here, got only: use `nst-jax stylize` for that",
            code=2,
        ),
        Row(
            "sweep town.png night.png -o out --contents night.png",
            "a sweep of photographs of other shapes",
            "jobs of a sweep must have one shape, got 512×384 and 512×410: give one --size, as 640x480, which crops them alike",
        ),
    ),
    "Several styles, masks and colours": (
        Row(
            "stylize town.png night.png night.png -o out.png --style-mix 1,2,3",
            "a share too many",
            "--style-mix must have 2 values, one for each style, got 3",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --style-mix ramp",
            "a ramp of one style",
            "--style-mix ramp must have several styles, got 1: name another STYLE",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --mask halves.png --style-mix 1",
            "shares, where masks say what goes where",
            "--style-mix must not go with --mask, got both: --mask-weights says how much",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --mask-weights 1",
            "weights of masks without masks",
            "--mask-weights must go with --mask, got no masks: add --mask FILE",
            code=2,
        ),
        Row(
            "stylize town.png night.png night.png -o out.png --mask halves.png halves.png halves.png",
            "a mask too many",
            "--mask must be one file or 2, one for each style, got 3",
            code=2,
        ),
        Row(
            "stylize town.png night.png night.png night.png -o out.png --mask halves.png",
            "a mask of fewer colours than styles",
            "mask must show 3 colours, one for each style, got 2: give as many styles as colours",
        ),
        Row(
            "stylize town.png night.png night.png -o out.png --mask thirds.png",
            "a mask of more colours than styles",
            "mask must show 2 colours, one for each style, got more: give as many styles as colours",
        ),
        Row(
            "stylize town.png night.png -o out.png --mask night.png",
            "a mask of another shape than the photograph",
            "mask must have its picture's aspect, 64×48, got 60×48 in night.png: crop it alike",
        ),
        Row(
            "stylize town.png night.png -o out.png --mask black.png",
            "a mask that is black all over",
            "mask must not be empty, got no white in black.png: white is where it counts",
        ),
        Row(
            "stylize town.png night.png -o out.png --colour palette:black.png",
            "a palette of one colour",
            "palette must be a picture of several colours, got a grey one: choose another picture",
        ),
    ),
    "The network's file": (
        Row(
            "stylize town.png night.png -o out.png --weights none.h5",
            "a file that is not there",
            "weights must be a file, got none.h5, which is not there: make it with `nst-jax weights convert`",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights cut.h5",
            "a file that is cut short",
            "weights must be a whole HDF5 file, got cut.h5 (<reason>): make it with `nst-jax weights convert`",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights foreign.h5",
            "a published file, which is to be converted first",
            "weights must be a file of ours, got foreign.h5: make it with `nst-jax weights convert`",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights text.txt",
            "something else",
            "weights must be a whole HDF5 file, got text.txt (<reason>): make it with `nst-jax weights convert`",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights nan.h5",
            "numbers that are none",
            "conv2_1 of nan.h5 must be finite, got NaN or infinity: fetch or convert the file again",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights shape.h5",
            "kernels that do not fit each other",
            "conv2_1 of shape.h5 must have kernel [3, 3, 4, d] and bias [d], got {'bias': (5,), 'kernel': (3, 3, 4, 4)}: convert it again",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights layerless.h5",
            "a file of ours without layers",
            "layers of layerless.h5 must be conv1_1, conv1_2, …, got input: convert the file again",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights std.h5",
            "a file of ours with an impossible input",
            "std of std.h5 must be three numbers above 0, got [0. 0. 0.]: convert the file again",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights linked.h5",
            "a file with a link to another",
            "weights must be a whole HDF5 file, got linked.h5 (conv6_1 is a link to elsewhere, which is not followed): make it with `nst-jax weights convert`",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights outside.h5",
            "a file whose numbers lie in another",
            "weights must be a whole HDF5 file, got outside.h5 (conv6_1 lies in another file, which is not read): make it with `nst-jax weights convert`",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights huge.h5",
            "a file that claims more numbers than any network has",
            "weights must be a whole HDF5 file, got huge.h5 (conv6_1 claims 2,000,000,000 bytes, more than it holds): make it with `nst-jax weights convert`",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights textual.h5",
            "texts in the place of numbers",
            "weights must be a whole HDF5 file, got textual.h5 (conv1_1 is no group of arrays of numbers): make it with `nst-jax weights convert`",
        ),
        Row(
            "stylize town.png night.png -o out.png --weights tap.h5",
            "a tap that does not fit its layer",
            "relu4_2 of tap.h5 must have finite matrices of pool3 [4, k], relu4_1 [4, k], relu4_2 [4, k], relu4_3 [4, k], relu4_4 [4, k], got {'relu1_1': (3, 9)}: make the file again",
        ),
        Row(
            "weights convert none.h5 -o new.h5",
            "a published file that is not there",
            "weights must be a file, got none.h5, which is not there: check its name",
        ),
        Row(
            "weights convert text.txt -o new.h5",
            "no published file",
            "weights must be in a format known here, got text.txt: take one of Keras or our own HDF5, MatConvNet's .mat, torchvision's .safetensors, Keras' .keras or torchvision's .pth, torchvision's older .pth",
        ),
        Row(
            "weights convert foreign.h5 -o new.h5",
            "a network that is no VGG",
            "weights must be those of a VGG network, got foreign.h5: it has no layers named as VGG's are",
        ),
        Row(
            "weights convert gap.h5 -o new.h5",
            "a file that lacks a layer",
            "weights must hold conv1_1, got gap.h5 without it: get the whole file again",
        ),
        Row(
            "weights convert numbered.h5 -o new.h5",
            "layers that are only numbered, and not as many as VGG19's",
            "weights must be VGG19's 16 convolutions where layers are only numbered, got 2 in numbered.h5: name the layers block1_conv1, …",
        ),
        Row(
            "weights convert new.mat -o new.h5",
            "MATLAB's newer format",
            "a .mat file must be of version 7 or older, got new.mat of version 7.3: save it again with -v7",
        ),
        Row(
            "weights convert cut.h5 -o new.h5",
            "a file that is cut short, whatever its kind",
            "weights must be a whole file, got cut.h5, which is cut short or damaged (<reason>): get it again",
        ),
        Row(
            "weights convert short.safetensors -o new.h5",
            "tensors that its header promises and that are not there",
            "weights must be a whole file, got short.safetensors, which is cut short or damaged (its header promises more): get it again",
        ),
        Row(
            "weights convert offsets.safetensors -o new.h5",
            "tensors that do not lie where its header says",
            "weights must be a whole file, got offsets.safetensors, which is cut short or damaged (offsets 0 to 4 of 4 bytes do not hold [4]): get it again",
        ),
        Row(
            "weights convert integers.safetensors -o new.h5",
            "tensors of a kind that weights are not",
            "weights must be a whole file, got integers.safetensors, which is cut short or damaged (dtype must be one of F64, F32, F16, BF16, got 'I8'): get it again",
        ),
        Row(
            "weights convert normalised.safetensors -o new.h5",
            "a VGG with batch normalisation",
            "features.1 of normalised.safetensors must be a plain VGG's convolution, got a network with batch normalisation: take vgg19",
        ),
        Row(
            "weights convert damaged.keras -o new.h5",
            "a .keras file without a network in it",
            "weights must be a whole file, got damaged.keras, which is cut short or damaged (<reason>): get it again",
        ),
        Row(
            "weights convert some.pth -o new.h5",
            "PyTorch's file, and no PyTorch that reads it",
            "a .pth file must be read by PyTorch, got some.pth without it: pip install torch, or save the state dict as .safetensors where it is installed",
            missing="torch",
        ),
        Row(
            "weights convert narrow.h5 -o no/new.h5",
            "a folder that is not there",
            "weights must be in an existing folder, got 'no/new.h5': make '<here>/no' first",
        ),
        Row(
            "doctor --weights none.h5",
            "the same said by `nst-jax doctor`",
            "weights must be a file, got none.h5, which is not there: make it with `nst-jax weights convert`",
        ),
    ),
    "Memory, devices and time": (
        Row(
            "stylize town.png night.png -o out.png",
            "a folder for compiled programs, named by JAX_COMPILATION_CACHE_DIR, that anybody may write to",
            "compiled programs must be kept where nobody else may write, got 'shared': `chmod go-w` it, or add --no-cache",
            env={"JAX_COMPILATION_CACHE_DIR": "shared"},
        ),
        Row(
            "stylize town.png night.png -o out.png --weights narrow.h5 --max-memory 2MB",
            "less memory than the run takes in any way",
            "memory must be at least <N> MB for 64×48 px, got 2 MB: choose a smaller --size, or Adam for L-BFGS",
        ),
        Row(
            "sweep town.png night.png -o out --weights narrow.h5 --max-memory 2MB --seed 0:8:9",
            "a sweep in less memory than a picture takes",
            "memory must be at least <N> MB for 64×48 px, got 2 MB: choose a smaller --size, or Adam for L-BFGS",
        ),
        Row(
            "stylize town.png night.png -o out.png --minutes 0.001 --recipe gatys-notebook --ladder 32 --optimizer adam --style-layers relu1_1 --content-layers relu1_1",
            "less time than the fewest steps take",
            "--minutes must be at least <N> for 43×32 here, got <N>: lower --size",
        ),
        Row(
            "stylize town.png night.png -o out.png --mesh space=3",
            "a mesh of other devices than there are",
            "--mesh must have as many places as there are devices, 1, got data=1 × space=3 = 3: write data=1 for a batch, space=1 for one picture",
        ),
        Row(
            "stylize town.png night.png -o out.png --mesh data=2",
            "more runs at once than there are",
            "--mesh must not spread more runs than there are, 1, got data=2: write space=2",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --init noise --style-weight 1e30 --style-layers relu1_1:100000 --recipe gatys-notebook --optimizer adam --ladder 32 --steps 20",
            "weights so large that the loss is no number any more",
            "loss must stay finite, got inf at step 10 after going back 3 times: lower --learning-rate",
        ),
        Row(
            "studio --host 0.0.0.0 --folder kept --no-browser",
            "the studio without the packages that it is made of",
            "starlette must be installed, got none: pip install 'nst-jax[studio]'",
            missing="starlette",
        ),
        Row(
            "studio --host 0.0.0.0 --folder kept --no-browser",
            "a studio for everyone on the network, without a password",
            "--host must be this machine's own, 127.0.0.1, without a password, got 0.0.0.0: add --password-file",
        ),
        Row(
            "studio --password-file town.txt --folder kept --no-browser",
            "a password that is soon guessed",
            "--password-file must hold at least 8 characters in its first line, got fewer in 'town.txt': write a longer one",
            texts={"town.txt": "abc\n"},
        ),
        Row(
            "studio --host 203.0.113.9 --password-file long.txt --folder kept --no-browser",
            "an address that this machine has not, or a port that is taken",
            "--port must be free at 203.0.113.9, got 8790 (<REASON>): choose another --port",
            texts={"long.txt": "a longer password\n"},
        ),
        Row(
            "studio --port 99999",
            "a port that there is not",
            "argument --port: must be a number from 0 to 65535, got '99999'",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --coordinator host0 --processes 2 --process 0",
            "an address without a port",
            "argument --coordinator: must be HOST:PORT, got 'host0': write host0:9999",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --coordinator host0:9999 --processes 2 --process 2",
            "a process that is not one of them",
            "--process must be below --processes 2, got 2: count from 0",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --processes 2",
            "one of several processes that does not know of the others",
            "processes must know of each other, got nothing found: add --coordinator",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --coordinator host0:9999 --processes 2 --process 0 --checkpoint kept --checkpoint-every 90s",
            "a run of several processes that is to be kept by the clock",
            "--checkpoint-every must be a number with several processes, whose clocks differ, got 90s: write 100",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --coordinator host0:9999 --processes 2 --process 0 --live",
            "a run of several processes that is to be steered",
            "--live must not go with several processes, which all paint the same, got both: drop it",
            code=2,
        ),
        Row(
            "stylize town.png night.png -o out.png --coordinator host0:9999 --processes 2 --process 0 --minutes 5",
            "a run of several processes that is to end by the clock",
            "--minutes must not go with several processes, whose clocks differ, got both: use --steps",
            code=2,
        ),
    ),
    "Runs that are kept": (
        Row(
            "resume folder",
            "a folder that holds no run",
            "resume must have a checkpoint to go on from, got none in 'folder': name the folder that --checkpoint named",
        ),
        Row(
            "resume damaged",
            "a folder whose checkpoints are all damaged",
            "resume must have a checkpoint that is whole, got none in 'damaged': begin anew",
        ),
        Row(
            "resume moved",
            "a run whose folder is gone",
            "folder in which the run began must be there, got '/no/such/folder': make it again, with the pictures in it",
        ),
        Row(
            "resume begun",
            "a picture that has changed since",
            "content must be the file that the run began with, got another 'town.png': put it back, or begin anew without resume",
        ),
        Row(
            "resume reweighed",
            "weights that have changed since",
            "weights must be those that the run began with, got others: put them back, or begin anew",
        ),
        Row(
            "stylize town.png night.png -o out.png --checkpoint begun",
            "a new run in the place of one that is not finished",
            "--checkpoint must be a new folder, got 'begun', whose run is not finished: `nst-jax resume` goes on with it, or name another",
        ),
        Row(
            "stylize town.png night.png -o out.png --checkpoint folder",
            "a folder that another run has",
            "--checkpoint must be a folder of its own, got 'folder', which another run has: wait for its end, or name another",
            busy="folder",
        ),
    ),
    "Results, and painting them again": (
        Row(
            "show missing.png",
            "a picture that is not there",
            "picture must be an existing file, got 'missing.png': check its name",
        ),
        Row(
            "show town.png",
            "a picture that was not painted here",
            "result must hold its settings, got none in town.png: it was not painted by nst-jax, or edited",
        ),
        Row(
            "show torn.png",
            "a result whose settings are damaged",
            "stored text must be whole, got 'torn.png' (<reason>): fetch it again",
        ),
        Row(
            "rerun painted.png --content halves.png --style night.png -o out.png",
            "another photograph than was used",
            "content must be the picture that was used, town.png, got another, halves.png: find the one that was",
        ),
        Row(
            "rerun painted.png --content town.png --style night.png -o out.png --mask halves.png",
            "a mask where there was none",
            "mask must be 0 files as in the record, got 1: drop it",
        ),
        Row(
            "rerun painted.png --content missing.png --style night.png -o out.png",
            "a photograph that is not there",
            "content must be an existing file, got 'missing.png': check its name",
        ),
        Row(
            "rerun painted.png --content town.png --style night.png -o painted.png",
            "a result that would be written over",
            "--output must not be the result itself, got 'painted.png': choose another name",
        ),
        Row(
            "rerun edited/format.png --content town.png --style night.png -o out.png",
            "settings of another program",
            "settings must be of format 'nst_jax run 2', got something else in edited/format.png",
        ),
        Row(
            "rerun edited/spy.png --content town.png --style night.png -o out.png",
            "settings that no run writes",
            "settings must hold only what a run writes, got 'spy' in edited/spy.png",
        ),
        Row(
            "rerun edited/bare.png --content town.png --style night.png -o out.png",
            "settings that do not say what it was made of",
            "settings must hold versions, order and inputs, got no inputs in edited/bare.png",
        ),
        Row(
            "rerun edited/field.png --content town.png --style night.png -o out.png",
            "settings that name a field which no picture keeps",
            "settings must hold only fields of an order, got 'weights' in edited/field.png",
        ),
        Row(
            "rerun edited/nameless.png --content town.png --style night.png -o out.png",
            "settings without a recipe",
            "settings must name a recipe, got none in edited/nameless.png",
        ),
        Row(
            "rerun edited/inputs.png --content town.png --style night.png -o out.png",
            "inputs without digests",
            "inputs must be names and digests, got 'content' in edited/inputs.png",
        ),
        Row(
            "rerun edited/files.png --content town.png --style night.png -o out.png",
            "settings that name a file on this machine",
            "settings must name no files, which are given anew, got init '/etc/passwd': it is not a run's own record",
        ),
        Row(
            "rerun edited/palette.png --content town.png --style night.png -o out.png",
            "a palette that is not given",
            "settings must be ones that go together, got a palette without its colours, or the opposite",
        ),
        Row(
            "rerun edited/value.png --content town.png --style night.png -o out.png",
            "a value that no flag takes",
            "settings must be ones that stylize takes, got: --size must be N or WIDTHxHEIGHT with edges from 16 px, got '8'",
        ),
        Row(
            "rerun edited/greedy.png --content town.png --style night.png -o out.png",
            "more steps than a stranger may ask for",
            "settings must ask for at most 1000000 steps, got 9999999",
        ),
        Row(
            "rerun edited/large.png --content town.png --style night.png -o out.png",
            "a larger picture than a stranger may ask for",
            "settings must ask for at most 64,000,000 pixels, got 9000×9000: raise --max-pixels if you trust them",
        ),
        Row(
            "rerun edited/pair.png --content town.png --style night.png -o out.png",
            "settings that do not go together",
            "settings must be ones that go together, got: --style-mix must have 1 value, got 2",
        ),
        Row(
            "rerun edited/old.png --content town.png --style night.png -o out.png",
            "settings of format 1 without flags",
            "settings must hold recipe and flags, got neither in edited/old.png",
        ),
        Row(
            "rerun edited/oldest.png --content town.png --style night.png -o out.png",
            "settings of format 1 that no run writes",
            "settings must hold only what a run writes, got 'spy' in edited/oldest.png",
        ),
        Row(
            "rerun edited/older.png --content town.png --style night.png -o out.png",
            "settings of format 1 with other sizes than a run has",
            "settings must hold only what a run writes, got 'ladder' in edited/older.png",
        ),
    ),
    "Lists of jobs": (
        Row(
            "batch jobs.txt -o out",
            "a list of another kind",
            "jobs must be one .csv or .jsonl file, or two folders, got 'jobs.txt': list a job a line",
        ),
        Row(
            "batch jobs.csv -o out",
            "a list that is not there",
            "jobs must be an existing file, got 'jobs.csv': check its name",
        ),
        Row(
            "batch folder folder -o out",
            "a folder without pictures",
            "folder must hold pictures, got none in 'folder': put some there",
        ),
        Row(
            "batch missing folder -o out",
            "a folder that is not there",
            "jobs must be an existing folder, got 'missing': check its name",
        ),
        Row(
            "batch latin.csv -o out",
            "a list in another encoding",
            "jobs must be text in UTF-8, got latin.csv: save it as such",
        ),
        Row(
            "batch jobs.csv -o out",
            "a quote that is not closed",
            "jobs must be rows of CSV, got unexpected end of data in jobs.csv: close quotes",
            texts={"jobs.csv": 'content,style\n"town.png,night.png\n'},
        ),
        Row(
            "batch jobs.csv -o out",
            "a list without a job",
            "jobs must be at least one, got none in jobs.csv: list a job a line",
            texts={"jobs.csv": "content,style\n"},
        ),
        Row(
            "batch jobs.csv -o out",
            "a column that is misspelt",
            "columns must be content, style, output or fields of a job, got 'stile': did you mean style?",
            texts={"jobs.csv": "content,stile\ntown.png,night.png\n"},
        ),
        Row(
            "batch jobs.csv -o out",
            "a row of more places than columns",
            "jobs.csv, line 2: job must be a row of its list, got more places than columns: see the README",
            texts={"jobs.csv": "content,style\ntown.png,night.png,9\n"},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.jsonl -o out",
            "a line that is no object",
            "jobs.jsonl, line 1: job must be a row of its list, got no JSON object: see the README",
            texts={"jobs.jsonl": "[1]\n"},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.jsonl -o out",
            "a name that is misspelt",
            "jobs.jsonl, line 1: job must have content, style and fields, got 'seeds': did you mean seed?",
            texts={"jobs.jsonl": '{"content": "town.png", "style": "night.png", "seeds": 3}\n'},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.jsonl -o out",
            "a value that is neither text nor number",
            "jobs.jsonl, line 1: value of a job must be a text, a number or a list of them, got seed '{}'",
            texts={"jobs.jsonl": '{"content": "town.png", "style": "night.png", "seed": {}}\n'},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.csv -o out",
            "a job without a painting",
            "jobs.csv, line 2: job must have content and style, got no style: name a file",
            texts={"jobs.csv": "content,style\ntown.png,\n"},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.csv -o out",
            "a result in another folder",
            "jobs.csv, line 2: output must be a file's name that ends in .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif, got '../out.png': write name.png",
            texts={"jobs.csv": "content,style,output\ntown.png,night.png,../out.png\n"},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.csv -o out",
            "two jobs of one result",
            "jobs.csv, line 3: output must be each job's own, got missing-night.png again: jobs.csv, line 2 has it, give another",
            texts={"jobs.csv": "content,style\nmissing.png,night.png\nmissing.png,night.png\n"},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.csv -o out",
            "a value that means nothing",
            "jobs.csv, line 2: size must be N or WIDTHxHEIGHT with edges from 16 px, got '8'",
            texts={"jobs.csv": "content,style,size\ntown.png,night.png,8\n"},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.csv -o out",
            "a word that is none of a field's choices",
            "jobs.csv, line 2: pool must be one of max, average, scaled-average, l2, got 'mean'",
            texts={"jobs.csv": "content,style,pool\ntown.png,night.png,mean\n"},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.csv -o out",
            "a picture that is not there",
            "jobs.csv, line 2: picture must be an existing file, got './missing.png': check its name",
            texts={"jobs.csv": "content,style\nmissing.png,night.png\n"},
            leaves=("out/batch.csv",),
        ),
        Row(
            "batch jobs.csv -o .",
            "somebody's picture of a result's name",
            "jobs.csv, line 2: output must not be another's picture, got black.png, which holds no settings: choose another folder or name",
            texts={"jobs.csv": "content,style,output\ntown.png,night.png,black.png\n"},
            leaves=("batch.csv",),
        ),
        Row(
            "batch jobs.csv -o out",
            "a job that paints nothing",
            "jobs.csv, line 2: colour must paint something here, got only: use `nst-jax stylize` for that",
            texts={"jobs.csv": "content,style,colour\ntown.png,night.png,only\n"},
            leaves=("out/batch.csv",),
        ),
    ),
}
