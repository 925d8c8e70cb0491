"""Photos: sources, layouts, decoding, boxes and masks, labels."""
