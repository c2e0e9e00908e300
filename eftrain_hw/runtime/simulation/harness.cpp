// The verilated accelerator with its memory, its host port and its clock, behind a C interface.
//
// "ports.h" is generated for each design: Model (the verilated class), PORTS, and the functions
// that copy between its pins and the structures of bus.h.

#include "bus.h"
#include "line.h"
#include "ports.h"
#include "verilated.h"
#ifdef TRACE
#include "verilated_vcd_c.h"
#endif

#include <algorithm>
#include <memory>

namespace {

std::string stopped;  // an RTL assertion or $stop; the message waits for the next C call to return

struct System {
    explicit System(const Options& options, const char* trace) : memory(options) {
        context.randReset(0);
        context.traceEverOn(trace != nullptr);
        model.reset(new Model(&context));
        for (int i = 0; i < PORTS; i++) ports.emplace_back(memory, i);
#ifdef TRACE
        if (trace) {
            vcd.reset(new VerilatedVcdC);
            model->trace(vcd.get(), 99);
            vcd->open(trace);
        }
#endif
    }

    ~System() {
#ifdef TRACE
        if (vcd) vcd->close();
#endif
        model->final();
    }

    void cycle() {
        memory.new_cycle();
        // reads and writes come first in turn, and so do the ports, so that all share the bandwidth
        bool writes_first = memory.counters.cycles & 1;
        unsigned turn = memory.counters.cycles >> 1;
        int reserve = 0;
        if (writes_first)
            for (const PortModel& port : ports) reserve += 8 * port.wants_to_write();
        for (int i = 0; i < PORTS; i++) ports[(i + turn) % PORTS].fetch(reserve);
        for (int i = 0; i < PORTS; i++) ports[i].offer(slave[i]);
        drive_ports(*model, slave);
        drive_lite(*model, lite);
        if (SERIAL) drive_serial(*model, line.drive());
        clocks_low(*model);
        model->eval();
        dump(0);
        sample_ports(*model, master);
        if (SERIAL) line.sample(sample_serial(*model));
        for (int i = 0; i < PORTS; i++) {
            int port = (i + turn) % PORTS;
            ports[port].answer(master[port], slave[port]);
        }
        drive_ready(*model, slave);
        sample_lite(*model, reply);
        clocks_high(*model);
        model->eval();
        dump(5);
        for (int i = 0; i < PORTS; i++) ports[i].advance(master[i], slave[i]);
    }

    void dump(int offset) {
#ifdef TRACE
        if (vcd) vcd->dump(memory.counters.cycles * 10 + offset);
#else
        (void)offset;
#endif
    }

    bool failed() const { return !memory.error.empty() || !stopped.empty(); }

    VerilatedContext context;
    std::unique_ptr<Model> model;
    Memory memory;
    std::vector<PortModel> ports;
    MasterPort master[PORTS]{};
    SlavePort slave[PORTS]{};
    LitePort lite{};
    LiteReply reply{};
    Line line;
#ifdef TRACE
    std::unique_ptr<VerilatedVcdC> vcd;
#endif
};

}  // namespace

// Verilator would end the process.
void vl_finish(const char* file, int line, const char*) {
    if (stopped.empty()) stopped = std::string("$finish at ") + file + ":" + std::to_string(line);
}
void vl_stop(const char* file, int line, const char*) {
    if (stopped.empty()) stopped = std::string("assertion at ") + file + ":" + std::to_string(line);
}
void vl_fatal(const char* file, int line, const char*, const char* message) {
    if (stopped.empty())
        stopped = std::string(message) + " at " + file + ":" + std::to_string(line);
}

#pragma GCC visibility push(default)
extern "C" {

System* sim_create(const Options* options, uint8_t* memory, const char* trace) {
    stopped.clear();
    auto* system = new System(*options, trace);
    system->memory.bytes = memory;
    return system;
}

void sim_destroy(System* system) { delete system; }

void sim_reset(System* system, uint32_t cycles) {
    system->model->rst = 1;
    while (cycles--) system->cycle();
    system->model->rst = 0;
    system->cycle();  // the wrapper's register
}

// Runs until the interrupt or for `limit` cycles; returns the cycles that passed.
uint64_t sim_run(System* system, uint64_t limit, int until_irq) {
    uint64_t start = system->memory.counters.cycles;
    for (uint64_t n = 0; n < limit; n++) {
        if (until_irq && sample_irq(*system->model)) break;
        if (system->failed()) break;
        system->cycle();
    }
    return system->memory.counters.cycles - start;
}

int sim_irq(System* system) { return sample_irq(*system->model); }

// 1 while a memory port has a request or a response outstanding.
int sim_bus_busy(System* system) {
    for (const PortModel& port : system->ports)
        if (!port.idle()) return 1;
    return 0;
}

// AXI4-Lite; both return the response, or -1 when none came within `limit` cycles.
int sim_lite_write(System* system, uint32_t address, uint32_t value, uint32_t limit) {
    LitePort& lite = system->lite;
    lite.awaddr = address;
    lite.wdata = value;
    lite.wstrb = 15;
    lite.awvalid = lite.wvalid = lite.bready = 1;
    while (limit--) {
        system->cycle();
        const LiteReply& reply = system->reply;
        if (lite.awvalid && reply.awready) lite.awvalid = 0;
        if (lite.wvalid && reply.wready) lite.wvalid = 0;
        if (reply.bvalid) {
            lite = LitePort{};
            return reply.bresp;
        }
    }
    lite = LitePort{};
    return -1;
}

int sim_lite_read(System* system, uint32_t address, uint32_t* value, uint32_t limit) {
    LitePort& lite = system->lite;
    lite.araddr = address;
    lite.arvalid = lite.rready = 1;
    while (limit--) {
        system->cycle();
        const LiteReply& reply = system->reply;
        if (lite.arvalid && reply.arready) lite.arvalid = 0;
        if (reply.rvalid) {
            *value = reply.rdata;
            lite = LitePort{};
            return reply.rresp;
        }
    }
    lite = LitePort{};
    return -1;
}

// A serial line: its rate, bytes to the design, bytes from it.
void sim_line_rate(System* system, double cycles_per_bit) {
    system->line.cycles_per_bit = cycles_per_bit;
}

void sim_line_send(System* system, const uint8_t* bytes, uint64_t count) {
    system->line.waiting.insert(system->line.waiting.end(), bytes, bytes + count);
}

// Runs until `count` bytes have come or for `limit` cycles; returns the bytes it gives.
uint64_t sim_line_take(System* system, uint8_t* bytes, uint64_t count, uint64_t limit) {
    auto& received = system->line.received;
    while (received.size() < count && limit-- && !system->failed()) system->cycle();
    if (received.size() < count) count = received.size();
    std::copy(received.begin(), received.begin() + count, bytes);
    received.erase(received.begin(), received.begin() + count);
    return count;
}

void sim_counters(System* system, Counters* counters) { *counters = system->memory.counters; }

void sim_clear_faults(System* system) { system->memory.faults.clear(); }

void sim_add_fault(System* system, const Fault* fault) { system->memory.faults.push_back(*fault); }

// The first protocol violation or failed assertion; "" if there was none.
const char* sim_error(System* system) {
    return system->memory.error.empty() ? stopped.c_str() : system->memory.error.c_str();
}

}  // extern "C"
#pragma GCC visibility pop
