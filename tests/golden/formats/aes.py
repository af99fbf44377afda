"""AES-128 for one block, both ways, straight from FIPS 197. Slow, and only for checking."""


def _times_x(byte):
    byte <<= 1
    return byte ^ 0x11B if byte & 0x100 else byte


def _multiply(one, other):
    product = 0
    while other:
        if other & 1:
            product ^= one
        one, other = _times_x(one), other >> 1
    return product


def _substitute():
    """The S-box of §5.1.1: the inverse in the field, then the affine map."""
    inverse = [0] * 256
    for one in range(1, 256):
        for other in range(1, 256):
            if _multiply(one, other) == 1:
                inverse[one] = other
                break
    box = []
    for byte in inverse:
        out = 0x63
        for turn in range(5):
            out ^= (byte << turn | byte >> (8 - turn)) & 0xFF
        box.append(out)
    return box


BOX = _substitute()
INVERSE_BOX = [BOX.index(byte) for byte in range(256)]


def _round_keys(key):
    words = [list(key[at : at + 4]) for at in range(0, 16, 4)]
    constant = 1
    for index in range(4, 44):
        word = words[-1]
        if index % 4 == 0:
            word = [BOX[byte] for byte in word[1:] + word[:1]]
            word[0] ^= constant
            constant = _times_x(constant)
        words.append([one ^ other for one, other in zip(words[-4], word)])
    return [sum(words[at : at + 4], []) for at in range(0, 44, 4)]


def _add(state, key):
    return [one ^ other for one, other in zip(state, key)]


def _shift(state, direction):
    """Row r turns left by r columns, or right; the state lies column by column."""
    return [state[4 * ((column + direction * row) % 4) + row] for column in range(4) for row in range(4)]


def _mix(state, factors):
    out = []
    for column in range(0, 16, 4):
        for row in range(4):
            byte = 0
            for other in range(4):
                byte ^= _multiply(state[column + other], factors[(other - row) % 4])
            out.append(byte)
    return out


def encrypt(key, block):
    keys = _round_keys(key)
    state = _add(block, keys[0])
    for turn in range(1, 11):
        state = _shift([BOX[byte] for byte in state], 1)
        if turn < 10:
            state = _mix(state, (2, 3, 1, 1))
        state = _add(state, keys[turn])
    return bytes(state)


def decrypt(key, block):
    keys = _round_keys(key)
    state = _add(block, keys[10])
    for turn in range(9, -1, -1):
        state = [INVERSE_BOX[byte] for byte in _shift(state, -1)]
        state = _add(state, keys[turn])
        if turn > 0:
            state = _mix(state, (14, 11, 13, 9))
    return bytes(state)
