"""Why counts differ, by a pattern of the network's name: found by hand, operator by operator."""

MACS: dict[str, str] = {}
WEIGHTS: dict[str, str] = {
    "swin_v2|swinv2|vit_relpos": "Each block stores coordinates in a buffer that a linear layer multiplies: "
    "stored, so a weight with a decision, but nothing that is learned.",
    "levit|efficientformer": "timm keeps what it looks up in `attention_biases` from one call to the next: "
    "the outputs have no gradient by them; the graph adds them in full precision.",
    "xcit": "Positions go through a convolution, whose input depends on the shape of the image alone: it is "
    "held as if it were stored, a weight with a decision, but nothing that is learned.",
    "Siglip": "The head's query, a vector, is a stored operand of a linear layer: a weight.",
}
