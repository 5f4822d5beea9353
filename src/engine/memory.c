/* Memory: from lifetimes of buffers to offsets in one arena.
 *
 * Buffers are placed from the largest down, each at the lowest offset where none that lives at the same time is in the
 * way: near the least memory possible, and deterministic.  Offsets are multiples of 64 bytes. */
#include "engine/plan.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static size_t aligned(size_t bytes) {
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

typedef struct request {
  size_t bytes, offset;
  uint32_t first, last, buffer;
} request;

static int by_size(const void *a, const void *b) {
  const request *x = a, *y = b;
  return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : (x->buffer > y->buffer) - (x->buffer < y->buffer);
}

static int by_offset(const void *a, const void *b) {
  const request *x = *(const request *const *)a, *y = *(const request *const *)b;
  return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Offsets of all requests; busy holds pointers to those in the way. */
static size_t place(request *requests, size_t count, request **busy) {
  size_t total = 0;
  qsort(requests, count, sizeof *requests, by_size);
  for (size_t i = 0; i < count; i++) {
    request *r = &requests[i];
    size_t in_the_way = 0, offset = 0;
    for (size_t j = 0; j < i; j++)
      if (requests[j].first <= r->last && r->first <= requests[j].last)
        busy[in_the_way++] = &requests[j];
    qsort(busy, in_the_way, sizeof *busy, by_offset);
    for (size_t j = 0; j < in_the_way; j++) {
      if (offset + r->bytes <= busy[j]->offset)
        break;
      const size_t end = busy[j]->offset + busy[j]->bytes;
      offset = end > offset ? end : offset;
    }
    r->offset = offset;
    total = offset + r->bytes > total ? offset + r->bytes : total;
  }
  return total;
}

static void resolve(const tb_planner *p, const tb_plan *plan) {
  for (uint32_t i = 0; i < p->address_count; i++) {
    tb_address *a = p->addresses[i];
    const tb_buffer *b = &p->buffers[a->base];
    a->offset += b->offset;
    a->base = b->kind == TB_IN_ARENA       ? TB_BASE_ARENA
              : b->kind == TB_IN_CONSTANTS ? TB_BASE_CONSTANTS
              : b->kind == TB_IN_INPUT     ? TB_BASE_FIRST + b->index
                                           : TB_BASE_FIRST + plan->input_count + b->index;
  }
}

tb_status tb_memory_plan(tb_planner *p, tb_plan *plan) {
  request *requests = tb_arena_allocate(p->scratch, p->buffer_count + 1, sizeof *requests);
  request **busy = tb_arena_allocate(p->scratch, p->buffer_count + 1, sizeof *busy);
  if (!requests || !busy)
    return TB_NO_MEMORY;
  size_t count = 0;
  for (uint32_t i = 0; i < p->buffer_count; i++) {
    tb_buffer *b = &p->buffers[i];
    if (b->kind == TB_IN_CONSTANTS) {
      b->offset = plan->constant_bytes;
      plan->constant_bytes += aligned(b->bytes);
    } else if (b->kind == TB_IN_ARENA && b->first != UINT32_MAX) {
      requests[count++] = (request){ aligned(b->bytes), 0, b->first, b->last, i };
    }
  }
  plan->arena_bytes = place(requests, count, busy);
  for (size_t i = 0; i < count; i++)
    p->buffers[requests[i].buffer].offset = requests[i].offset;
  plan->constants = tb_arena_allocate(p->arena, plan->constant_bytes + 1, 1);
  if (!plan->constants)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < p->buffer_count; i++)
    if (p->buffers[i].kind == TB_IN_CONSTANTS)
      memcpy(plan->constants + p->buffers[i].offset, p->constant_data[i], p->buffers[i].bytes);
  resolve(p, plan);
  return TB_OK;
}
