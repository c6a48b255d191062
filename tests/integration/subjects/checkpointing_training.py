"""A training that writes checkpoints and event logs as frameworks do: checkpointing_training.py STEPS

Every checkpoint is written beside and renamed; the newest three stay, with `latest` leading to the newest. Events are records
of TensorBoard's format (length and content, each with a masked CRC-32C), written as its writer does: buffered, in a file that is open
for all of the time and not for appending. The weights and the optimizer's state are read back from every checkpoint.
"""
import glob
import os
import struct
import sys
import time

POLYNOMIAL = 0x82F63B78
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ (POLYNOMIAL if byte & 1 else 0)
    TABLE.append(byte)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def record(data):
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def read_records(path):
    """The whole ones; raises when one of them is wrong."""
    with open(path, "rb") as file:
        data = file.read()
    records, at = [], 0
    while len(data) - at >= 12:
        (length,) = struct.unpack_from("<Q", data, at)
        if len(data) - at < length + 16:
            break
        content = data[at + 12 : at + 12 + length]
        assert data[at : at + length + 16] == record(content), (path, at)
        records.append(content.decode())
        at += length + 16
    return records


def main(steps):
    import torch  # not for those who only read records

    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.Tanh(), torch.nn.Linear(256, 1))
    optimizer = torch.optim.Adam(model.parameters())
    os.makedirs("checkpoints", exist_ok=True)
    events = open("events.out.tfevents.1", "wb")
    for step in range(1, steps + 1):
        inputs = torch.randn(32, 64)
        loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item().hex(), flush=True)
        events.write(record(f"{step} {loss.item().hex()}".encode()))
        if step % 7 == 0:
            events.flush()
        path = f"checkpoints/step-{step:05}.pt"
        state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, path + ".tmp")
        os.replace(path + ".tmp", path)
        os.symlink(os.path.basename(path), "checkpoints/latest.tmp")
        os.replace("checkpoints/latest.tmp", "checkpoints/latest")
        for old in sorted(glob.glob("checkpoints/step-*.pt"))[:-3]:
            os.unlink(old)
        # From the files, as after a failure without Holdfast.
        model.load_state_dict(torch.load("checkpoints/latest")["model"])
        time.sleep(0.01)
    events.close()
    assert len(read_records("events.out.tfevents.1")) == steps
    print("weights", sum(float(value.double().sum()) for value in model.state_dict().values()).hex(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
