// Which instructions of a program share their work with other threads.
//
// Results have the same bits either way, but not the same time: a hand-over takes time, and so does
// fetching what another core has in its cache (3-7 ns for 64 bytes, where the own cache takes 1).
// How much depends on the machine, on the program and on what else runs. So it is measured: the
// first runs go in three ways by turns, and the fastest way stays. In one way all instructions
// share, in one none does, and in one each does what took it less time in the other two. Trials are
// repeated, the more seldom the longer they have had the same result; soon, where sharing was slower:
// the first runs may have met a bad moment. They end as soon as it is clear that the way that was the
// fastest still is.
//
// Where other programs or virtual machines use the cores too, a helper is suspended from time to
// time, for longer than a trial takes, or two virtual cores are one for a while. So runs that share
// are timed after the trial as well. If a window of them takes longer than runs alone, the program
// runs alone for as many, and for twice as many each time that this is so again at once.
#pragma once
#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "runtime/call.h"

namespace cr {

class Trials {
  public:
    void prepare(std::size_t instructions) {
        for (std::vector<double>* v : {&times_, &sums_, &best_[SHARED], &best_[ALONE]})
            v->resize(instructions);
        alone_.resize(instructions);
    }

    // Chooses the way of a run on this many threads.
    void begin(int threads) {
        if (turn_ == TURNS) ++run_;
        if (threads != threads_ || run_ > between_) restart(threads);
        in_trial_ = threads > 1 && turn_ < TURNS;
        const bool rests = !in_trial_ && resting_ > 0 && resting_--;
        way_ = threads == 1 || rests ? ALONE : in_trial_ ? WAYS[turn_] : fastest_;
    }

    bool in_trial() const { return in_trial_; }             // the times of all instructions are wanted
    bool is_timed() const { return in_trial_ || way_ != ALONE; }  // at least that of the whole run

    // In the last run that began.
    bool shares(std::size_t instruction) const {
        return way_ == SHARED || (way_ == MIXED && !alone_[instruction]);
    }

    double* times() { return times_.data(); }  // room for the times of a run

    // The times of all instructions in a run of a trial, and whether any had work to share.
    void note(const double* seconds, bool any) {
        if (way_ == SHARED && !any) return settle(ALONE);
        const double total = std::accumulate(seconds, seconds + sums_.size(), 0.0);
        if (way_ == ALONE && total > LONG) return settle(SHARED);
        // After a change of the way the caches have other contents: the first run does not count.
        const bool first = run_++ == 0;
        if (turn_ == 0 && run_ == 2) runs_of_turn_ = runs_for(total);
        for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] = first ? 0 : sums_[i] + seconds[i];
        if (run_ == runs_of_turn_) end_turn();
    }

    void watch(double seconds) {  // of a run that shares, after a trial
        watched_ += seconds;
        const bool slower = watched_ > means_[ALONE] * WINDOW;  // perhaps after few runs
        if (!slower && ++watched_runs_ < WINDOW) return;
        if (slower) resting_ = rest_;
        rest_ = slower ? std::min(2 * rest_, LEAST) : WINDOW;
        watched_ = watched_runs_ = 0;
    }

  private:
    enum Way { SHARED, ALONE, MIXED };
    // Alone first: a short program does not wake a helper.
    static constexpr Way WAYS[] = {ALONE, SHARED, ALONE, SHARED, MIXED, ALONE, SHARED, MIXED};
    static constexpr int TURNS = 8, BEFORE_MIXED = 4;
    // Runs of a turn: as many as take TURN seconds alone, within these limits.
    static constexpr int FEWEST = 4, MANY = 16;
    static constexpr double TURN = 3e-3;
    static constexpr int SOON = 100, LEAST = 1000, MOST = 16'000;  // runs between two trials
    static constexpr int WINDOW = 64;  // runs whose mean is compared with that of runs alone
    static constexpr double NEVER = std::numeric_limits<double>::infinity();
    static constexpr double LONG = 3e-3;  // seconds alone: hand-overs take no share worth measuring
    static constexpr double SHORT = 10e-6;  // seconds alone: there is nothing to win
    static constexpr double GAIN = 1.03;  // by how much sharing must be faster, to use more cores

    static int runs_for(double seconds) {
        return seconds * MANY < TURN ? MANY : std::max(FEWEST, static_cast<int>(TURN / seconds));
    }

    void restart(int threads) {
        is_repeated_ = threads == threads_;
        threads_ = threads;
        watched_ = watched_runs_ = resting_ = turn_ = run_ = 0;
        rest_ = WINDOW;
        for (double& mean : means_) mean = NEVER;
        for (std::vector<double>* best : {&best_[SHARED], &best_[ALONE]})
            std::fill(best->begin(), best->end(), NEVER);
    }

    // The mean of a turn counts, as with threads some runs take longer, and of the turns the best.
    void end_turn() {
        const double total = std::accumulate(sums_.begin(), sums_.end(), 0.0);
        means_[way_] = std::min(means_[way_], total / (runs_of_turn_ - 1));
        if (way_ != MIXED)
            for (std::size_t i = 0; i < sums_.size(); ++i)
                best_[way_][i] = std::min(best_[way_][i], sums_[i]);
        run_ = 0, ++turn_;
        if (means_[ALONE] < SHORT) return settle(ALONE);
        const double sharing = std::min(means_[SHARED], means_[MIXED]);
        const bool alone = means_[ALONE] < sharing * GAIN;
        if (is_repeated_ && sharing < NEVER && alone == (fastest_ == ALONE)) return settle(fastest_);
        if (turn_ == BEFORE_MIXED)
            for (std::size_t i = 0; i < sums_.size(); ++i)
                alone_[i] = best_[ALONE][i] < best_[SHARED][i] * GAIN;
        if (turn_ == TURNS)
            settle(alone ? ALONE : means_[MIXED] < means_[SHARED] ? MIXED : SHARED);
    }

    void settle(Way way) {
        const bool stays = is_repeated_ && (way == ALONE) == (fastest_ == ALONE);
        if (way == ALONE) between_ = stays ? std::min(2 * between_, LEAST) : SOON;
        else between_ = stays ? std::min(2 * between_, MOST) : LEAST;
        fastest_ = way;
        turn_ = TURNS, run_ = 0;
    }

    int threads_ = 0;
    int turn_ = 0, run_ = 0;  // of the trial; run_ also counts the runs since it ended
    int runs_of_turn_ = MANY, between_ = LEAST;
    bool in_trial_ = false, is_repeated_ = false;
    Way way_ = ALONE, fastest_ = ALONE;  // of this run, and of the last trial
    double watched_ = 0;  // seconds of the last `watched_runs_` runs
    int watched_runs_ = 0;
    int resting_ = 0, rest_ = WINDOW;  // runs alone to come; and those after the next slow window
    std::vector<double> times_, sums_, best_[2];
    double means_[3];  // seconds of a run in each way
    std::vector<char> alone_;
};

}  // namespace cr
