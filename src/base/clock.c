/* Clocks: monotonic seconds and the time of day in UTC. */
#include <tiebreak/base.h>

#include <time.h>

double tb_clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void tb_clock_utc(char *buffer, size_t size) {
  time_t now = time(NULL);
  struct tm parts;
  gmtime_r(&now, &parts);
  if (size > 0 && strftime(buffer, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
    buffer[0] = 0;
}
