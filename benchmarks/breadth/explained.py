"""Why counts differ, by a pattern of the network's name: found by hand, operator by operator."""

MACS: dict[str, str] = {}
WEIGHTS: dict[str, str] = {
    "swin_v2": "Each block stores coordinates in a buffer (15 x 15 x 2 numbers) that a linear layer multiplies: "
    "stored, so a weight with a decision, but nothing that is learned.",
    "Deberta": "`rel_embeddings.weight` counts twice: read as it is in one layer, behind a dropout module in the "
    "next.",
    "Mamba": "`dt_proj.bias[None, :, None]` is added: a bias, which counts as a weight because it is indexed "
    "first.",
    "BartFor": "`final_logits_bias.to(device)` is added: a constant, which counts as a weight because it is cast "
    "first.",
    "Siglip": "The head's query, a vector, is a stored operand of a linear layer: a weight.",
}
