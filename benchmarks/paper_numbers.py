"""What the paper reports (arXiv 2407.19467), and its successors where they say more.

Figures 3 and 6 are read off the printed figures: about ±0.001 GAUC and ±0.01 points.
"""

# Table 3: relative gains over ID-only in %, GAUC and AUC.
GAINS = {
    "vector": (0.29, 0.18),
    "simscore": (0.77, 0.40),
    "simtier": (0.96, 0.59),
    "make": (0.93, 0.51),
    "simtier_make": (1.25, 0.75),
}

# Figure 3: test GAUC by epoch, of the ID-only model and of MAKE.
EPOCHS = {
    "make": (
        *(0.590, 0.592, 0.595, 0.5975, 0.6015),
        *(0.604, 0.605, 0.606, 0.6065, 0.607),
    ),
    "id_only": (
        *(0.6475, 0.619, 0.592, 0.581, 0.574),
        *(0.570, 0.566, 0.562, 0.559, 0.556),
    ),
}

# Figure 6(a): Acc@1 of the vectors, and the gain in GAUC in %.
ACCURACY = ((0.53, 0.41), (0.65, 0.57), (0.70, 0.61), (0.74, 0.80), (0.75, 0.84))

# Figure 6(b): relative gains of SimTier + MAKE in % by item frequency, rarest first.
GROUPS = {
    "auc": (1.43, 1.10, 0.96, 0.83, 0.71, 0.56, 0.44, 0.32),
    "log_loss": (0.81, 0.62, 0.53, 0.47, 0.41, 0.34, 0.30, 0.25),
}

# Figure 6(c): relative gain in GAUC in % by MAKE's epochs; 0 is joint training.
MAKE_EPOCHS = {0: 0.30, 2: 0.77, 4: 0.79, 6: 0.89, 8: 0.87, 10: 0.93}
