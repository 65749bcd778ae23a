"""Operations of each published autoencoder, in 10^15, as torch counts them: `python -m tests.wan.count`."""

import json

from bench.gpu import models, stages

if __name__ == "__main__":
    print(json.dumps({name: stages.decode_operations(model) / 1e15 for name, model in models.MODELS.items()}))
