"""Text on pictures of a VGA text screen: each cell of 9 by 16 pixels compared with the glyphs of the VGA BIOS."""

ROM = "/usr/share/seabios/vgabios-stdvga.bin"
CAPITAL_A = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")


def glyphs(path=ROM):
    """Rows of 8 dots of each character, mapped to the character."""
    with open(path, "rb") as file:
        rom = file.read()
    start = rom.index(CAPITAL_A) - 16 * ord("A")
    table = {}
    for code in range(32, 127):
        table[rom[start + 16 * code:start + 16 * code + 16]] = chr(code)
    return table


def read_ppm(path):
    """Width, height, pixels."""
    with open(path, "rb") as file:
        magic, size, depth, pixels = file.read().split(b"\n", 3)
    width, height = map(int, size.split())
    if (magic, depth, len(pixels)) != (b"P6", b"255", width * height * 3):
        raise ValueError(f"{path} is no whole picture")
    return width, height, pixels


def text_of(path, table=None):
    """The lines on the screen, without blanks at their ends; what is no known glyph is '?'. Empty if it shows no text."""
    table = table or glyphs()
    width, height, pixels = read_ppm(path)
    if width % 9 or height % 16:
        return []
    lines = []
    for top in range(0, height, 16):
        line = ""
        for left in range(0, width, 9):
            rows = bytearray()
            for y in range(top, top + 16):
                at = (y * width + left) * 3
                rows.append(sum(0x80 >> x for x in range(8) if any(pixels[at + 3 * x:at + 3 * x + 3])))
            line += table.get(bytes(rows), "?")
        lines.append(line.rstrip())
    return lines
