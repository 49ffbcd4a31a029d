"""A character-level GRU: one-hot input, truncated back-propagation, greedy text at the end."""

import torch
import torch.nn as nn
import torch.nn.functional as F

text = (
    "the quick brown fox jumps over the lazy dog. "
    "pack my box with five dozen liquor jugs. "
) * 6
chars = sorted(set(text))
stoi = {ch: i for i, ch in enumerate(chars)}
itos = {i: ch for ch, i in stoi.items()}
data = torch.tensor([stoi[c] for c in text], dtype=torch.long)

hidden_size = 32
seq_length = 25
torch.manual_seed(1337)


class CharRNN(nn.Module):
    def __init__(self, vocab_size, hidden_size, n_layers=2):
        super().__init__()
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.gru = nn.GRU(vocab_size, hidden_size, n_layers, batch_first=True)
        self.decoder = nn.Linear(hidden_size, vocab_size)

    def forward(self, x, hidden):
        onehot = F.one_hot(x, self.vocab_size).float()
        out, hidden = self.gru(onehot, hidden)
        return self.decoder(out), hidden

    def init_hidden(self, batch_size):
        weight = next(self.parameters()).data
        return torch.zeros(self.n_layers, batch_size, self.hidden_size, dtype=weight.dtype)


def generate(model, start, length):
    model.eval()
    hidden = model.init_hidden(1)
    result = start
    with torch.no_grad():
        for ch in start[:-1]:
            _, hidden = model(torch.tensor([[stoi[ch]]]), hidden)
        x = torch.tensor([[stoi[start[-1]]]])
        for _ in range(length):
            logits, hidden = model(x, hidden)
            x = logits[:, -1].argmax(dim=-1, keepdim=True)
            result += itos[x.item()]
    model.train()
    return result


model = CharRNN(len(chars), hidden_size)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
print("vocabulary", len(chars), "parameters", sum(p.numel() for p in model.parameters()))

batch_size = 4
per_row = len(data) // batch_size
rows = data[: per_row * batch_size].view(batch_size, per_row)
for epoch in range(3):
    hidden = model.init_hidden(batch_size)
    total, count = 0.0, 0
    for p in range(0, per_row - seq_length - 1, seq_length):
        inputs = rows[:, p : p + seq_length]
        targets = rows[:, p + 1 : p + seq_length + 1]
        hidden = hidden.detach()
        logits, hidden = model(inputs, hidden)
        loss = F.cross_entropy(logits.reshape(-1, len(chars)), targets.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        total, count = total + loss.item(), count + 1
    print(f"epoch {epoch} loss {total / count:.5f}")
print(repr(generate(model, "the ", 12))[:8])
