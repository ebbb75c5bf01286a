// What measuring needs of DPDK beside the gateway's own door: the device that feeds it, and C loops to compare with.
#pragma once
#include "accesses.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A frame that a feeder hands out. Of its octets only the first `copied` are written into the buffer: the rest is what the
/// buffer's last packet left there.
typedef struct perf_frame {
  const uint8_t *octets;
  uint32_t length, copied;
} perf_frame;

/// The receiving side of a port without a wire (net_null,no-rx=1): every poll takes buffers from the gateway's pool, as a
/// driver does, and writes the next frames into them, as a device would. Ticks of the time-stamp counter that the writing
/// took are counted, so that they can be left out.
typedef struct perf_feeder {
  const perf_frame *frames;
  uint32_t count, next;
  /// Packets in a burst, at most; 0 gives nothing.
  uint32_t burst;
  /// Whether `ticks` is kept.
  bool is_timed;
  /// Ticks between two packets, 0 for as many as are asked for; and when the next one is due.
  double interval, due;
  uint64_t ticks, packets;
  /// Bursts in a sample (0: no samples), and what the lcore's samples are written to.
  uint32_t bursts_per_sample, burst_in_sample;
  struct perf_sample *samples;
  uint32_t sample_count, sample_capacity;
  uint64_t sample_start, sample_ticks, sample_packets;
  long sample_switches;
  void *pool;
  const void *callback;
  uint16_t port, queue;
} perf_feeder;

/// What an lcore took for a number of bursts: ticks without the writing of packets, ticks of a `perf_chain` after it, packets,
/// the time-stamp counter at its end, and how often the lcore lost its core.
typedef struct perf_sample {
  uint64_t ticks, chain, packets, end;
  long switches;
} perf_sample;

/// Attaches a feeder to a port's queue; buffers come from the pool of this name. NULL on failure.
perf_feeder *perf_feeder_attach(uint16_t port, uint16_t queue, const char *pool);
/// Before the port is closed.
void perf_feeder_detach(perf_feeder *feeder);

/// Latencies of packets from a paced feeder, in ticks from when they were due to when the port took them.
typedef struct perf_latencies {
  uint32_t *ticks;
  uint32_t count, capacity;
  const void *callback;
  uint16_t port, queue;
} perf_latencies;
perf_latencies *perf_latencies_attach(uint16_t port, uint16_t queue, uint32_t capacity);
void perf_latencies_detach(perf_latencies *latencies);

/// As many as samples have.
enum { perf_chain_links = 2048 };
/// A chain of `links` dependent multiplications, of three core cycles each on the x86-64 cores of the last decade; its ticks.
uint64_t perf_chain(uint32_t links);

/// How often the calling thread lost its core to another: what was timed meanwhile is worth nothing.
long perf_switches(void);

/// Receives from one port and sends to another, `rounds` times, as DPDK's own testpmd does in `io` mode; packets moved.
uint64_t perf_forward(uint16_t from, uint16_t to, uint32_t burst, uint32_t rounds);

/// The first octets of `count` buffers of a pool where a driver would put a frame, as the next `count` packets will have them.
bool perf_buffers(const char *pool, uint8_t **data, uint32_t count);

/// Makes the calling thread one that has a buffer cache of its own, as lcores have. False on failure.
bool perf_thread_register(void);
/// Binds the calling thread to a core.
void perf_thread_pin(unsigned core);
/// Asks for a higher priority for this thread and those that it will make, which is refused without root.
void perf_process_prefer(void);

// OpenSSL's EVP alone, with a context that is kept: `key` null keeps the key too. Opening says whether the tag was right.
void *perf_evp_new(const void *key);
void perf_evp_free(void *context);
bool perf_evp_seal(
    void *context, const void *key, const void *nonce, const void *aad, int aad_length, void *text, int length, void *tag);
bool perf_evp_open(
    void *context, const void *key, const void *nonce, const void *aad, int aad_length, void *text, int length,
    const void *tag);

/// Whether valgrind's headers were there when this was built.
bool perf_knows_valgrind(void);
/// Under callgrind: counts from here on, from zero; and writes what was counted, with a name.
void perf_count_begin(void);
void perf_count_end(const char *name);

typedef void (*perf_turn)(unsigned lcore, void *user);
/// Calls `turn` for one lcore after the other, each on a thread of its own that is an lcore to DPDK: as lcores run, but never
/// at the same time. After `silent` rounds, `noted` rounds have their accesses told by valgrind's tool in perf/Accesses, each
/// turn's after the note "lcore N". Every turn also counts `perf_witness`, a word that all of them share: who looks for such
/// words must find it. False on failure.
bool perf_take_turns(unsigned lcores, unsigned silent, unsigned noted, perf_turn turn, void *user);
/// Under valgrind: writes a line into its log, between those of the tool. And one for each of DPDK's named memory zones.
void perf_note(const char *text);
void perf_note_zones(void);
