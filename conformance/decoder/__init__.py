"""A second decoder of gvcodec files, written from docs/spec/ alone; it does not import gvcodec.

    wire          integers, checksums, refusals          Container
    header        the header                             Container, Versions and growth
    container     packets, GOPs, index, end              Container
    tracks        times, texts, sound, summaries         Times, texts, tracks
    entropy       rANS, Laplace tables                   Entropy coding
    bundles       bundles of AV1 frames                  Bases
    bases         AV1, H.266, resampler                  Bases
    networks      integer networks, predicted integers   Entropy coding, Models
    models        files of models                        Models
    fit           fitted weights                         Fitted weights
    region_tokens integers that steer the painter        Fitted weights: Tokens
    search        block vectors                          Block search
    painter       painted frames                         The painter
    exact_float   the transformer's operations         Exact arithmetic
    one_file      a stream inside of a container         One file
    decode        all of it together                     Conformance

`python -m conformance.decoder FILE` prints its answer as JSON, in the form of Conformance.
"""
