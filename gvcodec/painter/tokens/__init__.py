"""How an encoder finds painter tokens. In: base frames and source of a GOP. Out: its tokens, coded.

    stage    the tokens of each GOP while a video is coded
    encoder  transformers and matched energies: tokens of the regions of a GOP
    search   tokens by gradient descent (`--tokens search`)
    trial    which of these pay, judged by `metric` on frames that took no part (`samples`)

`gvcodec.painter.token_coding` is their form in files, which decoders read."""
