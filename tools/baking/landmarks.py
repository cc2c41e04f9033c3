"""Vertices of MakeHuman's base mesh at the landmarks of the reference figures."""

LANDMARKS = {
    "jaw_0": 264, "jaw_1": 5202, "jaw_2": 5204, "jaw_3": 5206, "jaw_4": 5299, "jaw_5": 3698, "jaw_6": 916,
    "jaw_7": 5292, "jaw_8": 732, "jaw_9": 11898, "jaw_10": 7618, "jaw_11": 10366, "jaw_12": 11904, "jaw_13": 11817,
    "jaw_14": 11815, "jaw_15": 11813, "jaw_16": 7033,
    "brow_right_0": 255, "brow_right_1": 225, "brow_right_2": 204, "brow_right_3": 205, "brow_right_4": 208,
    "brow_left_0": 6983, "brow_left_1": 6980, "brow_left_2": 6979, "brow_left_3": 6999, "brow_left_4": 7024,
    "nose_bridge_0": 132, "nose_bridge_1": 131, "nose_bridge_2": 201, "nose_bridge_3": 5054,
    "nose_base_0": 360, "nose_base_1": 314, "nose_base_2": 343, "nose_base_3": 7077, "nose_base_4": 7121,
    "eye_right_0": 6781, "eye_right_1": 0, "eye_right_2": 54, "eye_right_3": 6773, "eye_right_4": 6772,
    "eye_right_5": 6776,
    "eye_left_0": 13369, "eye_left_1": 6838, "eye_left_2": 6784, "eye_left_3": 13377, "eye_left_4": 13372,
    "eye_left_5": 13368,
    "lip_outer_0": 402, "lip_outer_1": 410, "lip_outer_2": 355, "lip_outer_3": 362, "lip_outer_4": 7116,
    "lip_outer_5": 7170, "lip_outer_6": 7162, "lip_outer_7": 7166, "lip_outer_8": 7235, "lip_outer_9": 496,
    "lip_outer_10": 480, "lip_outer_11": 406,
    "lip_inner_0": 429, "lip_inner_1": 470, "lip_inner_2": 474, "lip_inner_3": 7226, "lip_inner_4": 7189,
    "lip_inner_5": 7236, "lip_inner_6": 523, "lip_inner_7": 481,
    "under_eye_left": 6918, "under_eye_right": 140, "cheek_apple_left": 11764, "cheek_apple_right": 5150,
    "cheek_hollow_left": 11896, "cheek_hollow_right": 5290,
    "nasolabial_upper_left": 11751, "nasolabial_upper_right": 5137,
    "nasolabial_lower_left": 7434, "nasolabial_lower_right": 711,
    "nose_wing_left": 7080, "nose_wing_right": 318, "glabella": 227, "forehead_middle": 5192,
    "forehead_left": 11807, "forehead_right": 5196, "upper_lid_fold_left": 6930, "upper_lid_fold_right": 152,
    "chin_crease": 5162, "chin_left": 7450, "chin_right": 728,
}  # fmt: skip
"""By name, in the order of :func:`freeavatar.avatars.meaning.reference_landmarks`."""
MOUTH_CORNERS = (712, 7435)
"""Right and left: just outside the lips, where smiles pull hardest."""
