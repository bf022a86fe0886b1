"""Settings of a reconstruction that the window offers beside prior, sampler and frame, in their order."""

SETTINGS = (
    "title",
    "samples",
    "seed",
    "device",
    "refine_poses",
    "points",
    "batch",
    "pose_error_deg",
    "shift_error_A",
    "pixel_size_error",
    "outlier_weight",
)
