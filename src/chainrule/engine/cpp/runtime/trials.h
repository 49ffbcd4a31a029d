// Which instructions of a program share their work with other threads.
//
// Results have the same bits either way, but not the same time: a hand-over takes time, and so does
// fetching what another core has in its cache (3-7 ns for 64 bytes, where the own cache takes 1).
// How much depends on the machine, on the program and on what else runs. So it is measured: the
// first runs go in three ways by turns, and the fastest way stays. In one way all instructions
// share, in one none does, and in one each does what took it less time in the other two. Later,
// trials are repeated from time to time.
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

    // Chooses the way of a run on this many threads. True if its times are wanted.
    bool begin(int threads) {
        if (run_ >= TRIAL) ++run_;
        if (threads != threads_ || run_ > TRIAL + BETWEEN) restart();
        threads_ = threads;
        const bool trial = threads > 1 && run_ < TRIAL;
        way_ = threads == 1 ? ALONE : trial ? WAYS[run_ / RUNS] : fastest_;
        return trial;
    }

    // In the last run that began.
    bool shares(std::size_t instruction) const {
        return way_ == SHARED || (way_ == MIXED && !alone_[instruction]);
    }

    double* times() { return times_.data(); }  // room for the times of a run

    void note(const double* seconds) {  // of all instructions in this run
        if (way_ == ALONE && sum(seconds) > LONG) return settle(SHARED);
        // After a change of the way the caches have other contents: the first run does not count.
        const bool first = run_++ % RUNS == 0;
        for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] = first ? 0 : sums_[i] + seconds[i];
        if (run_ % RUNS == 0) end_turn();
    }

  private:
    enum Way { SHARED, ALONE, MIXED };
    static constexpr Way WAYS[] = {SHARED, ALONE, SHARED, ALONE, MIXED, SHARED, ALONE, MIXED};
    static constexpr int RUNS = 5, TRIAL = RUNS * 8, BEFORE_MIXED = RUNS * 4, BETWEEN = 500;
    static constexpr int COUNTED = RUNS - 1;  // runs of a turn
    static constexpr double NEVER = std::numeric_limits<double>::infinity();
    static constexpr double LONG = 3e-3;  // seconds alone: hand-overs take no share worth measuring
    static constexpr double SHORT = 20e-6;  // seconds alone: there is nothing to win
    static constexpr double GAIN = 1.03;  // by how much sharing must be faster, to use more cores

    double sum(const double* seconds) const {
        return std::accumulate(seconds, seconds + sums_.size(), 0.0);
    }

    void restart() {
        run_ = 0;
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

    int threads_ = 0, run_ = 0;
    Way way_ = SHARED, fastest_ = SHARED;
    std::vector<double> times_, sums_, best_[2];
    double totals_[3];
    std::vector<char> alone_;
};

}  // namespace cr
