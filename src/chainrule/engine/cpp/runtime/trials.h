// Which instructions of a program share their work with other threads.
//
// Results have the same bits either way, but not the same time: a hand-over takes time, and so does
// fetching what another core has in its cache (3-7 ns for 64 bytes, where the own cache takes 1).
// How much depends on the machine, on the program and on what else runs. So it is measured: the
// first runs go in three ways by turns, and the fastest way stays. In one way all instructions
// share, in one none does, and in one each does what took it less time in the other two. Trials are
// repeated, the more seldom the longer sharing has been faster. Where it was slower, the next trial
// ends as soon as it is slower again, so that it can come often.
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
        if (run_ >= TRIAL) ++run_;
        if (threads != threads_ || run_ > TRIAL + between_) restart(threads);
        in_trial_ = threads > 1 && run_ < TRIAL;
        const bool rests = !in_trial_ && resting_ > 0 && resting_--;
        way_ = threads == 1 || rests ? ALONE : in_trial_ ? WAYS[run_ / RUNS] : fastest_;
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
        if (way_ == ALONE && sum(seconds) > LONG) return settle(SHARED);
        // After a change of the way the caches have other contents: the first run does not count.
        const bool first = run_++ % RUNS == 0;
        for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] = first ? 0 : sums_[i] + seconds[i];
        if (run_ % RUNS == 0) end_turn();
    }

    void watch(double seconds) {  // of a run that shares, after a trial
        watched_ += seconds;
        const bool slower = watched_ * COUNTED > totals_[ALONE] * WINDOW;  // perhaps after few runs
        if (!slower && ++runs_ < WINDOW) return;
        if (slower) resting_ = rest_;
        rest_ = slower ? std::min(2 * rest_, LEAST) : WINDOW;
        watched_ = runs_ = 0;
    }

  private:
    enum Way { SHARED, ALONE, MIXED };
    // Alone first: a short program does not wake a helper.
    static constexpr Way WAYS[] = {ALONE, SHARED, ALONE, SHARED, MIXED, ALONE, SHARED, MIXED};
    static constexpr int RUNS = 16, TRIAL = RUNS * 8, BEFORE_MIXED = RUNS * 4;
    static constexpr int COUNTED = RUNS - 1;  // runs of a turn
    static constexpr int LEAST = 1000, MOST = 16'000;  // runs between two trials
    static constexpr int WINDOW = 64;  // runs whose mean is compared with that of runs alone
    static constexpr double NEVER = std::numeric_limits<double>::infinity();
    static constexpr double LONG = 3e-3;  // seconds alone: hand-overs take no share worth measuring
    static constexpr double SHORT = 20e-6;  // seconds alone: there is nothing to win
    static constexpr double GAIN = 1.03;  // by how much sharing must be faster, to use more cores

    double sum(const double* seconds) const {
        return std::accumulate(seconds, seconds + sums_.size(), 0.0);
    }

    void restart(int threads) {
        const bool again = threads == threads_, stays = again && fastest_ == before_;
        is_brief_ = again && fastest_ == ALONE;
        between_ = stays && !is_brief_ ? std::min(2 * between_, MOST) : LEAST;
        before_ = fastest_, threads_ = threads;
        watched_ = runs_ = resting_ = run_ = 0;
        rest_ = WINDOW;
        for (double& total : totals_) total = NEVER;
        for (std::vector<double>* best : {&best_[SHARED], &best_[ALONE]})
            std::fill(best->begin(), best->end(), NEVER);
    }

    // The mean of a turn counts, as with threads some runs take longer, and of the turns the best.
    void end_turn() {
        totals_[way_] = std::min(totals_[way_], sum(sums_.data()));
        if (way_ != MIXED)
            for (std::size_t i = 0; i < sums_.size(); ++i)
                best_[way_][i] = std::min(best_[way_][i], sums_[i]);
        if (totals_[ALONE] < SHORT * COUNTED) return settle(ALONE);
        if (is_brief_ && totals_[SHARED] < NEVER && totals_[ALONE] < totals_[SHARED])
            return settle(ALONE);
        if (run_ == BEFORE_MIXED)
            for (std::size_t i = 0; i < sums_.size(); ++i)
                alone_[i] = best_[ALONE][i] < best_[SHARED][i] * GAIN;
        if (run_ < TRIAL) return;
        const Way sharing = totals_[MIXED] < totals_[SHARED] ? MIXED : SHARED;
        settle(totals_[ALONE] < totals_[sharing] * GAIN ? ALONE : sharing);
    }

    void settle(Way way) {
        fastest_ = way;
        run_ = TRIAL;
    }

    int threads_ = 0, run_ = 0, between_ = LEAST;
    bool in_trial_ = false, is_brief_ = false;
    Way way_ = ALONE, fastest_ = ALONE, before_ = ALONE;  // now; of this trial; of the one before
    double watched_ = 0;  // seconds of the last `runs_` runs
    int runs_ = 0;
    int resting_ = 0, rest_ = WINDOW;  // runs alone to come; and those after the next slow window
    std::vector<double> times_, sums_, best_[2];
    double totals_[3];
    std::vector<char> alone_;
};

}  // namespace cr
