"""A contextual bandit: a policy network that is rewarded for the right arm, with a baseline."""

import torch
import torch.nn as nn
import torch.nn.functional as F

ARMS, FEATURES = 4, 6


class Policy(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.affine1 = nn.Linear(FEATURES, hidden)
        self.affine2 = nn.Linear(hidden, ARMS)
        self.saved_log_probs = []
        self.rewards = []

    def forward(self, x):
        return F.softmax(self.affine2(torch.tanh(self.affine1(x))), dim=-1)


def choose(policy, context, epsilon):
    probabilities = policy(context)
    if torch.rand(1).item() < epsilon:
        arm = torch.randint(ARMS, (1,))
    else:
        cumulative = probabilities.detach().cumsum(0)
        arm = (cumulative < torch.rand(1)).sum().view(1).clamp(max=ARMS - 1)
    policy.saved_log_probs.append(torch.log(probabilities.gather(0, arm)))
    return arm.item()


def finish_episode(policy, optimizer):
    rewards = torch.tensor(policy.rewards)
    advantage = (rewards - rewards.mean()) / (rewards.std() + 1e-6)
    losses = [-log_prob * a for log_prob, a in zip(policy.saved_log_probs, advantage)]
    optimizer.zero_grad()
    loss = torch.cat(losses).sum()
    loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]
    return loss.item(), rewards.mean().item()


def main():
    torch.manual_seed(543)
    best = torch.randn(FEATURES, ARMS)
    policy = Policy()
    optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)
    running = 0.0
    for episode in range(8):
        epsilon = max(0.05, 0.4 * 0.8**episode)
        for _ in range(30):
            context = torch.randn(FEATURES)
            arm = choose(policy, context, epsilon)
            scores = context @ best
            reward = 1.0 if arm == scores.argmax().item() else 0.0
            policy.rewards.append(reward)
        loss, reward = finish_episode(policy, optimizer)
        running = reward if episode == 0 else 0.9 * running + 0.1 * reward
        print("Episode {} loss {:.4f} reward {:.3f} average {:.3f}".format(
            episode, loss, reward, running))


if __name__ == "__main__":
    main()
