"""Training of base gvc1d: `python -m training gvc1d.shards`, then `gvc1d.codec`.

shards     short runs of clips with their motion
codec      the program that trains the transform's form from them
export     its network as a weight file
parts      what its parts are worth
spoilt     its network with a part taken away, shuffled, as it began
paper_form the networks of the paper's form, small, beside a fixed transform
"""
