// Bus models round the verilated accelerator: the memory behind its AXI ports.
//
// The memory is as unhelpful as AXI allows: read data are those of the moment in which the request
// is taken, written data become visible only with the response. A design that relies on more than
// the protocol promises fails here.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

constexpr unsigned OKAY = 0, SLVERR = 2, DECERR = 3;
constexpr unsigned HOLD = 4;  // a fault: requests are taken, and not answered while it stands

struct MasterPort {  // what the accelerator drives on one AXI port
    uint64_t awaddr, araddr, wdata;
    uint32_t awlen, arlen, awsize, arsize, awburst, arburst, awid, arid, wid, wstrb;
    uint8_t awvalid, arvalid, wvalid, wlast, bready, rready;
};

struct SlavePort {  // what the memory drives
    uint64_t rdata;
    uint32_t rid, bid;
    uint8_t awready, arready, wready, bvalid, rvalid, rlast, bresp, rresp;
};

struct LitePort {  // AXI4-Lite, driven by the host
    uint32_t awaddr, araddr, wdata, wstrb;
    uint8_t awvalid, wvalid, bready, arvalid, rready;
};

struct LiteReply {
    uint32_t rdata;
    uint8_t awready, wready, bvalid, bresp, arready, rvalid, rresp;
};

struct Fault {
    uint64_t start, end;
    uint32_t kind, reads, writes;
};

struct Options {  // the same fields, in the same order, as in simulation/model.py
    uint64_t memory_bytes;
    uint64_t memory_base;
    uint32_t latency;          // cycles from a request to its first data, or to its response
    uint32_t bytes_per_cycle;  // of all ports together, reads and writes
    uint32_t outstanding;      // requests that a port takes before it makes the master wait
    uint32_t longest_burst;    // beats
    uint32_t stall_per_256;    // chance that a channel pauses in a cycle
    uint32_t seed;
};

struct Counters {  // the same fields, in the same order, as in simulation/model.py
    uint64_t cycles, read_bytes, write_bytes, read_bursts, write_bursts;
};

class Memory {
public:
    explicit Memory(const Options& options)
        : options(options), random_(options.seed * 2654435761u + 1) {}

    uint64_t word(uint64_t address) const {
        uint64_t value;
        __builtin_memcpy(&value, bytes + (address - options.memory_base), 8);
        return value;
    }

    void store(uint64_t address, uint64_t data, uint32_t strobe) {
        uint8_t* to = bytes + (address - options.memory_base);
        if (strobe == 0xff) {
            __builtin_memcpy(to, &data, 8);
            return;
        }
        for (int i = 0; i < 8; i++)
            if (strobe >> i & 1) to[i] = data >> 8 * i;
    }

    unsigned fault(uint64_t address, bool write) const {
        uint64_t offset = address - options.memory_base;
        if (address < options.memory_base || offset + 8 > options.memory_bytes) return DECERR;
        for (const Fault& f : faults)
            if (address + 8 > f.start && address < f.end && (write ? f.writes : f.reads))
                return f.kind;
        return OKAY;
    }

    // One beat's share of the bandwidth of this cycle, if `reserve` bytes stay for others.
    bool spend(int reserve = 0) {
        if (budget_ < 8 + reserve) return false;
        budget_ -= 8;
        return true;
    }

    bool stall() {
        if (!options.stall_per_256) return false;
        random_ ^= random_ << 13;
        random_ ^= random_ >> 17;
        random_ ^= random_ << 5;
        return (random_ >> 8 & 255) < options.stall_per_256;
    }

    void new_cycle() {
        counters.cycles++;
        // what a fraction of a beat leaves is carried over, idle cycles are not
        budget_ = std::min<int64_t>(budget_, 7) + options.bytes_per_cycle;
    }

    void violation(const char* port, int number, const std::string& what) {
        if (error.empty())
            error = std::string(port) + std::to_string(number) + ": " + what + " in cycle " +
                    std::to_string(counters.cycles);
    }

    const Options options;
    uint8_t* bytes = nullptr;
    std::vector<Fault> faults;
    Counters counters{};
    std::string error;

private:
    int64_t budget_ = 0;
    uint32_t random_;
};

// The memory side of one AXI3 or AXI4 port: several requests outstanding, answered in order.
class PortModel {
public:
    PortModel(Memory& memory, int number) : memory_(memory), number_(number) {}

    // Before the edge: what is offered to the master, which cannot depend on its signals.
    void offer(SlavePort& out) {
        uint64_t now = memory_.counters.cycles;
        out.rvalid = r_offered_;
        if (r_offered_) {
            const Read& read = reads_.front();
            out.rdata = read.data[read.next];
            out.rresp = read.responses[read.next];
            out.rlast = read.next + 1 == read.data.size();
            out.rid = read.id;
        }
        if (!b_offered_ && !responses_.empty() && responses_.front().due <= now &&
            !held(responses_.front()) && !memory_.stall()) {
            b_offered_ = true;
            commit(responses_.front());
        }
        out.bvalid = b_offered_;
        if (b_offered_) {
            out.bresp = responses_.front().response;
            out.bid = responses_.front().id;
        }
    }

    // The next read beat takes its share of the bandwidth and is offered from this cycle on.
    void fetch(int reserve) {
        if (r_offered_ || reads_.empty()) return;
        const Read& read = reads_.front();
        if (read.due > memory_.counters.cycles || memory_.stall()) return;
        if (read.held && memory_.fault(read.held_at, false) == HOLD) return;
        r_offered_ = memory_.spend(reserve);
    }

    // Before the edge, with the master's signals settled: who is taken.
    void answer(const MasterPort& in, SlavePort& out) {
        check(in);
        out.arready = reads_.size() < memory_.options.outstanding && !memory_.stall();
        out.awready =
            writes_.size() + responses_.size() < memory_.options.outstanding && !memory_.stall();
        out.wready = in.wvalid && !writes_.empty() && !memory_.stall() && memory_.spend();
    }

    // The edge: handshakes happen.
    void advance(const MasterPort& in, const SlavePort& out) {
        if (out.rvalid && in.rready) {
            memory_.counters.read_bytes += 8;
            r_offered_ = false;
            if (++reads_.front().next == reads_.front().data.size()) reads_.pop_front();
        }
        if (out.bvalid && in.bready) {
            b_offered_ = false;
            responses_.pop_front();
        }
        if (in.wvalid && out.wready) take_data(in);
        if (in.awvalid && out.awready) {
            memory_.counters.write_bursts++;
            check_burst("AW", in.awaddr, in.awlen, in.awsize, in.awburst);
            writes_.push_back({in.awaddr & ~uint64_t(7), in.awid, in.awlen + 1});
        }
        if (in.arvalid && out.arready) take_read(in);
        waits_ar_ = in.arvalid && !out.arready;
        waits_aw_ = in.awvalid && !out.awready;
        waits_w_ = in.wvalid && !out.wready;
        before_ = in;
    }

    bool wants_to_write() const { return before_.wvalid && !writes_.empty(); }

    bool idle() const { return reads_.empty() && writes_.empty() && responses_.empty(); }

private:
    struct Read {
        uint64_t due, held_at;  // held_at: a beat of the burst that a HOLD was set for
        uint32_t id;
        size_t next;
        bool held;
        std::vector<uint64_t> data;
        std::vector<uint8_t> responses;
    };
    struct Write {
        uint64_t address;
        uint32_t id, beats;
    };
    struct Beat {
        uint64_t address, data;
        uint32_t strobe;
    };
    struct Response {
        uint64_t due;
        uint32_t id, response;
        std::vector<Beat> beats;
    };

    void check(const MasterPort& in) {
        const MasterPort& was = before_;
        if (waits_ar_ && !(in.arvalid && in.araddr == was.araddr && in.arlen == was.arlen))
            violation("AR changed before it was taken");
        if (waits_aw_ && !(in.awvalid && in.awaddr == was.awaddr && in.awlen == was.awlen))
            violation("AW changed before it was taken");
        if (waits_w_ && !(in.wvalid && in.wdata == was.wdata && in.wstrb == was.wstrb &&
                          in.wlast == was.wlast))
            violation("W changed before it was taken");
    }

    void check_burst(const char* channel, uint64_t address, uint32_t len, uint32_t size,
                     uint32_t burst) {
        char text[96];
        uint64_t last = address + 8ull * len + 7;
        snprintf(text, sizeof text, "%s burst of %u beats at 0x%llx ", channel, len + 1,
                 (unsigned long long)address);
        if (size != 3 || burst != 1) violation(std::string(text) + "is not INCR of 8 bytes");
        if (address & 7) violation(std::string(text) + "is not aligned");
        if (address >> 12 != last >> 12) violation(std::string(text) + "crosses 4 KiB");
        if (len + 1 > memory_.options.longest_burst) violation(std::string(text) + "is too long");
    }

    void take_read(const MasterPort& in) {
        memory_.counters.read_bursts++;
        check_burst("AR", in.araddr, in.arlen, in.arsize, in.arburst);
        uint64_t address = in.araddr & ~uint64_t(7);
        reads_.push_back({memory_.counters.cycles + memory_.options.latency, 0, in.arid, 0,
                          false, {}, {}});
        Read& read = reads_.back();
        for (uint32_t i = 0; i <= in.arlen; i++, address += 8) {
            unsigned fault = memory_.fault(address, false);
            if (fault == HOLD) read.held = true, read.held_at = address;
            bool exists = fault == OKAY || fault == HOLD;
            read.data.push_back(exists ? memory_.word(address) : 0xdeadbeefdeadbeefull);
            read.responses.push_back(exists ? OKAY : fault);
        }
    }

    void take_data(const MasterPort& in) {
        memory_.counters.write_bytes += 8;
        Write& write = writes_.front();
        beats_.push_back({write.address + 8 * beats_.size(), in.wdata, in.wstrb});
        bool last = beats_.size() == write.beats;
        if (bool(in.wlast) != last) violation("WLAST is not on the last beat of the burst");
        if (in.wid != write.id) violation("WID differs from AWID");
        if (!last) return;
        unsigned worst = OKAY;
        for (const Beat& beat : beats_) {
            unsigned fault = memory_.fault(beat.address, true);
            if (fault != HOLD) worst = std::max(worst, fault);
        }
        responses_.push_back({memory_.counters.cycles + memory_.options.latency, write.id, worst,
                              std::move(beats_)});
        beats_.clear();
        writes_.pop_front();
    }

    bool held(const Response& response) const {
        if (memory_.faults.empty()) return false;
        for (const Beat& beat : response.beats)
            if (memory_.fault(beat.address, true) == HOLD) return true;
        return false;
    }

    void commit(const Response& response) {
        for (const Beat& beat : response.beats) {
            unsigned fault = memory_.fault(beat.address, true);
            if (fault == OKAY) memory_.store(beat.address, beat.data, beat.strobe);
        }
    }

    void violation(const char* what) { memory_.violation("axi", number_, what); }
    void violation(const std::string& what) { memory_.violation("axi", number_, what); }

    Memory& memory_;
    int number_;
    std::deque<Read> reads_;
    std::deque<Write> writes_;  // whose data have not all come
    std::vector<Beat> beats_;   // of the first of them
    std::deque<Response> responses_;
    bool r_offered_ = false, b_offered_ = false;
    bool waits_ar_ = false, waits_aw_ = false, waits_w_ = false;
    MasterPort before_{};
};
