"""What every process of ``test_distributed.py`` runs under torchrun: arguments are the folder and its tokens."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from bulkgen.training import finetune, trainer
from bulkgen.training.batches import Cells

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
rank = os.environ["RANK"]
seen: list[int] = []
steps: list[int] = []
take = Cells.__getitem__


def take_and_tell(self, place):
    # cells to train on are in their own order, those of a validation in that of their lengths
    if self.order[0] == 0 and (self.order[1:] > self.order[:-1]).all():
        seen.append(place)
    return take(self, place)


class Watch(trainer._Watch):
    stop = None

    def on_step_end(self, args, state, control, **_):
        super().on_step_end(args, state, control)
        steps.append(len(seen))
        if state.global_step == self.stop:
            raise RuntimeError("stopped")


Cells.__getitem__ = take_and_tell
trainer._Watch = Watch
data = {"tokens": folder / "train", "validation": folder / "val"}
result = finetune(**data, **options, out=folder / "run")
assert (folder / "run" / "run.json").is_file(), "the run folder has to be there for every process"
save_file(result.run.classifier.model.state_dict(), folder / f"weights-{rank}.safetensors")
report = {
    "seen": seen[:],
    "steps": steps[:],
    "history": list(result.history),
    "validation": result.validation.to_dict(),
    "processes": result.facts["processes"],
}

# the same training, stopped in its second epoch and taken up again
Watch.stop = 7
try:
    finetune(**data, **options, out=folder / "again", resume=True)
except RuntimeError:
    report["stopped"] = True
Watch.stop = None
again = finetune(**data, **options, out=folder / "again", resume=True)
report["resumed_step"] = again.facts["resumed_step"]
report["resumed_alike"] = all(
    torch.equal(values, again.run.classifier.model.state_dict()[name])
    for name, values in result.run.classifier.model.state_dict().items()
)
(folder / f"report-{rank}.json").write_text(json.dumps(report))
