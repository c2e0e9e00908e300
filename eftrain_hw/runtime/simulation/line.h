// The far end of a serial line, 8N1: bytes in, bytes out, a level each cycle.

#pragma once

#include <cstdint>
#include <deque>
#include <vector>

class Line {
  public:
    double cycles_per_bit = 16;
    std::deque<uint8_t> waiting;     // to send
    std::vector<uint8_t> received;
    uint64_t broken = 0;             // bytes without a stop bit

    // Level of the wire to the design in this cycle.
    bool drive() {
        if (send_bits == 0 && !waiting.empty()) {
            send_shift = 0x200 | waiting.front() << 1;
            waiting.pop_front();
            send_bits = 10;
            send_time = 0;
        }
        if (send_bits == 0) return true;
        bool level = send_shift & 1;
        if (++send_time >= cycles_per_bit) {
            send_time -= cycles_per_bit;
            send_shift >>= 1;
            send_bits--;
            // the next byte follows at once, and keeps the fraction of a cycle
            if (send_bits == 0 && !waiting.empty()) {
                send_shift = 0x200 | waiting.front() << 1;
                waiting.pop_front();
                send_bits = 10;
            }
        }
        return level;
    }

    // Level of the wire from the design in this cycle.
    void sample(bool level) {
        if (take_bits == 0) {
            if (level) return;
            take_bits = 10;
            take_shift = 0;
            take_time = cycles_per_bit / 2;
            return;
        }
        take_time -= 1;
        if (take_time > 0) return;
        take_time += cycles_per_bit;
        take_shift |= unsigned(level) << (10 - take_bits);
        if (--take_bits) return;
        if (take_shift & 0x200) received.push_back(take_shift >> 1 & 0xFF);
        else broken++;
    }

    bool quiet() const { return send_bits == 0 && waiting.empty(); }

  private:
    unsigned send_shift = 0, send_bits = 0, take_shift = 0, take_bits = 0;
    double send_time = 0, take_time = 0;
};
