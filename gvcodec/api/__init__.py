"""The functions of `import gvcodec`, which the commands call too. In: paths, bytes, file objects,
arrays and options as keywords. Out: files, bytes, arrays and reports (`results`).

>>> import numpy as np, gvcodec
>>> frames = np.zeros((3, 48, 64, 3), np.uint8) + np.arange(64, dtype=np.uint8)[:, None]
>>> data = gvcodec.encode(frames, frame_rate=25, preset=10, fit=0)
>>> [image.shape for image in gvcodec.decode(data)]
[(48, 64, 3), (48, 64, 3), (48, 64, 3)]
>>> next(gvcodec.decode(data, output="torch", dimension_order="NCHW", start=2)).shape
torch.Size([3, 48, 64])
>>> gvcodec.info(data).frames, gvcodec.verify(data).frames
(3, 3)

    frames          arrays and tensors to bytes
    decoded_frames  and back
    encoding        video files to streams, in one pass, or of a size or quality
    decoding        streams to video files
    moments         search
    job             options as keywords: of one frame, of one file
    in_chunks       `encode_file` with jobs
    rate_control    encoding to a size or quality
    results         reports of encodes and decodes
    replace         the original after a check
    info            facts of a stream: a new one is a field of `Info`, filled in `read_info`
    tokens          tokens of a file as arrays
"""
