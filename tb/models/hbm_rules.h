// What commands a pseudo-channel of HBM allows when: states of banks, distances in CK, refresh that is owed.
//
// Every command is checked against all rules before it takes effect. A rule is a parameter between two commands; the
// checker also counts, for each rule, how often it was tried and how often a command came at the very minimum (a cycle,
// which is 2 CK, earlier would have broken it).

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "hbm_table.h"

namespace hbm {

constexpr int64_t kNever = -(int64_t{1} << 40);

struct Recent {  // last time anything happened, and last time it happened elsewhere than there
    int64_t at = kNever, elsewhere = kNever;
    uint32_t where = ~0u;

    void note(int64_t ck, uint32_t place) {
        if (place != where) elsewhere = at;
        at = ck;
        where = place;
    }
    int64_t other_than(uint32_t place) const { return where == place ? elsewhere : at; }
};

class PseudoChannel {
  public:
    using Report = std::function<void(const Violation&)>;

    void configure(const Parameters& timing, const Options& options, int pc, Report report) {
        t_ = timing;
        o_ = options;
        pc_ = pc;
        report_ = std::move(report);
        reset();
    }

    void reset() {
        banks_.assign(o_.sids * o_.bank_groups * o_.banks, Bank{});
        groups_.assign(o_.sids * o_.bank_groups, Group{});
        acts_.assign(o_.faw_per_sid ? o_.sids : 1, Four{});
        refresh_ = Recent{};
        pre_ = refab_ = kNever;
        next_due_ = t_.REFI;
        counts_.fill(RuleCount{});
    }

    const std::array<RuleCount, kRules>& counts() const { return counts_; }

    // The row that a column command meets, or -1 when the bank has none.
    int64_t open_row(const Place& at) const { return in_range(at) ? banks_[index(at)].row : -1; }

    // A command at CK `ck`. False when there is no such place: nothing happened then.
    bool command(Command command, const Place& at, int64_t ck) {
        ck_ = ck;
        command_ = command;
        place_ = at;
        const bool whole = command == kPreA || command == kRefAb;
        if (!whole && !in_range(at)) {
            fail(kRange);
            return false;
        }
        apart(kRfcAb, refab_, t_.RFCAB);
        switch (command) {
            case kAct: activate(at); break;
            case kPre:
                apart(kPpd, pre_, t_.PPD);
                precharge(banks_[index(at)]);
                pre_ = ck;
                break;
            case kPreA:
                apart(kPpd, pre_, t_.PPD);
                each_bank([&](Bank& bank) { precharge(bank); });
                pre_ = ck;
                break;
            case kRefPb:
            case kRfmPb: refresh_bank(at); break;
            case kRefAb: refresh_all(); break;
            default: column(at); break;
        }
        return true;
    }

    // The refreshes that have fallen due up to a CK, after the commands at that CK.
    void advance(int64_t ck) {
        if (!o_.refresh || ck < next_due_) return;
        ck_ = next_due_;
        next_due_ += t_.REFI;
        command_ = kCommands;
        each_bank([&](Bank& bank) {
            if (++bank.owed > o_.postpone) fail(kOwed, bank.owed, o_.postpone);
        });
    }

    void row_bus(Command command, const Place& at, int64_t ck) {  // an ACT was sent in the same cycle
        command_ = command;
        place_ = at;
        ck_ = ck;
        if (o_.act_bus_half_ck + o_.row_bus_half_ck > 4) fail(kRowBus);
    }

  private:
    struct Bank {
        int64_t row = -1;
        int64_t act = kNever, pre = kNever, rd = kNever, wr = kNever, refpb = kNever, rfm = kNever;
        int64_t owed = 0, activations = 0;
    };
    struct Group {
        int64_t act = kNever, rd = kNever, wr = kNever;
    };
    struct Four {  // the last four ACTs, oldest at `next`
        int64_t at[4] = {kNever, kNever, kNever, kNever};
        int next = 0;
    };

    bool in_range(const Place& at) const {
        return at.sid < o_.sids && at.bank_group < o_.bank_groups && at.bank < o_.banks && at.row < o_.rows &&
               at.column < o_.columns;
    }
    uint32_t group_of(const Place& at) const { return at.sid * o_.bank_groups + at.bank_group; }
    uint32_t index(const Place& at) const { return group_of(at) * o_.banks + at.bank; }

    template <class F> void each_bank(F f) {
        for (size_t i = 0; i < banks_.size(); ++i) {
            place_.bank = i % o_.banks;
            place_.bank_group = i / o_.banks % o_.bank_groups;
            place_.sid = i / o_.banks / o_.bank_groups;
            f(banks_[i]);
        }
    }

    void apart(Rule rule, int64_t before, int64_t minimum) {
        if (before == kNever) return;
        const int64_t distance = ck_ - before;
        RuleCount& count = counts_[rule];
        ++count.tried;
        if (distance < minimum) fail(rule, distance, minimum);
        else if (distance < minimum + 2) ++count.at_minimum;
    }

    void fail(Rule rule, int64_t distance = 0, int64_t minimum = 0) {
        ++counts_[rule].broken;
        report_(Violation{ck_, pc_, command_, place_.sid, place_.bank_group, place_.bank, place_.row, place_.column,
                          rule, distance, minimum});
    }

    void activate(const Place& at) {
        Bank& bank = banks_[index(at)];
        Group& group = groups_[group_of(at)];
        Four& four = acts_[o_.faw_per_sid ? at.sid : 0];
        if (bank.row >= 0) fail(kOpen);
        apart(kRc, bank.act, t_.RC);
        apart(kRpAct, bank.pre, t_.RP);
        apart(kRfcPbAct, bank.refpb, t_.RFCPB);
        apart(kRfmAct, bank.rfm, t_.RFM);
        apart(kRrdL, group.act, t_.RRDL);
        apart(kRrdS, act_groups_other(group_of(at)), t_.RRDS);
        apart(kFaw, four.at[four.next], t_.FAW);
        apart(kRrefDAct, refresh_.other_than(index(at)), t_.RREFD);
        if (++bank.activations > o_.raammt && o_.raammt) fail(kRaa, bank.activations, o_.raammt);
        bank.row = at.row;
        bank.act = group.act = four.at[four.next] = ck_;
        four.next = (four.next + 1) % 4;
    }

    int64_t act_groups_other(uint32_t group) const {
        int64_t last = kNever;
        for (uint32_t i = 0; i < groups_.size(); ++i) {
            if (i != group) last = std::max(last, groups_[i].act);
        }
        return last;
    }

    void precharge(Bank& bank) {
        if (bank.row >= 0) {
            apart(kRas, bank.act, t_.RAS);
            apart(kRtp, bank.rd, t_.RTP);
            apart(kWr_, bank.wr, t_.CWL + t_.BL + t_.WR);
        }
        bank.row = -1;
        bank.pre = ck_;
    }

    void refresh_bank(const Place& at) {
        Bank& bank = banks_[index(at)];
        const bool management = command_ == kRfmPb;
        if (bank.row >= 0) fail(kRefreshOpen);
        apart(management ? kRpRfmPb : kRpRefPb, bank.pre, t_.RP);
        apart(management ? kRfcPbRfmPb : kRfcPbRefPb, bank.refpb, t_.RFCPB);
        apart(management ? kRfmRfmPb : kRfmRefPb, bank.rfm, t_.RFM);
        apart(kRrefDRef, refresh_.other_than(index(at)), t_.RREFD);
        apart(kRrdSRef, act_groups_other(group_of(at)), t_.RRDS);
        apart(kRrdLRef, groups_[group_of(at)].act, t_.RRDL);
        apart(kRcRef, bank.act, t_.RC);
        (management ? bank.rfm : bank.refpb) = ck_;
        refresh_.note(ck_, index(at));
        refreshed(bank, !management);
    }

    void refresh_all() {
        each_bank([&](Bank& bank) {
            if (bank.row >= 0) fail(kRefreshOpen);
            apart(kRpRefAb, bank.pre, t_.RP);
            apart(kRcRefAb, bank.act, t_.RC);
            apart(kRfcPbRefAb, bank.refpb, t_.RFCPB);
            apart(kRfmRefAb, bank.rfm, t_.RFM);
            refreshed(bank, true);
        });
        refab_ = ck_;
    }

    void refreshed(Bank& bank, bool pays) {
        bank.activations = std::max<int64_t>(0, bank.activations - o_.raaimt);
        if (pays && o_.refresh && -(--bank.owed) > o_.postpone) fail(kAhead, -bank.owed, o_.postpone);
    }

    void column(const Place& at) {
        Bank& bank = banks_[index(at)];
        Group& mine = groups_[group_of(at)];
        const bool write = command_ == kWr;
        if (bank.row < 0) fail(kClosed);
        apart(write ? kRcdWr : kRcdRd, bank.act, write ? t_.RCDWR : t_.RCDRD);
        int64_t rd = kNever, wr = kNever, same_sid = kNever, other_sid = kNever, wr_elsewhere = kNever;
        for (uint32_t i = 0; i < groups_.size(); ++i) {
            const Group& group = groups_[i];
            rd = std::max(rd, group.rd);
            wr = std::max(wr, group.wr);
            if (&group == &mine) continue;
            int64_t& last = i / o_.bank_groups == at.sid ? same_sid : other_sid;
            last = std::max(last, write ? group.wr : group.rd);
            wr_elsewhere = std::max(wr_elsewhere, group.wr);
        }
        apart(write ? kCcdLWr : kCcdLRd, write ? mine.wr : mine.rd, t_.CCDL);
        apart(write ? kCcdSWr : kCcdSRd, same_sid, t_.CCDS);
        apart(write ? kCcdRWr : kCcdRRd, other_sid, t_.CCDR);
        if (write) {
            apart(kRtw, rd, t_.RTW);
            bank.wr = mine.wr = ck_;
        } else {
            apart(kWtrL, mine.wr, t_.CWL + t_.BL + t_.WTRL);
            apart(kWtrS, wr_elsewhere, t_.CWL + t_.BL + t_.WTRS);
            bank.rd = mine.rd = ck_;
        }
    }

    Parameters t_{};
    Options o_{};
    int pc_ = 0;
    Report report_;
    std::vector<Bank> banks_;
    std::vector<Group> groups_;  // bank groups of all SIDs
    std::vector<Four> acts_;     // one, or one for each SID
    Recent refresh_;             // by bank
    int64_t pre_ = kNever, refab_ = kNever, next_due_ = 0;
    std::array<RuleCount, kRules> counts_{};

    int64_t ck_ = 0;  // of the command that is checked
    Command command_ = kAct;
    Place place_;
};

}  // namespace hbm
