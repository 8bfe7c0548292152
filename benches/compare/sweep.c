/* The system calls of a sweep and nothing else: probes of 64 bytes in batches of half a millisecond,
 * whose replies have the control messages that udpulse asks for. It tells no reply from another.
 * Usage: sweep PORT TARGETS ROUNDS RATE. Loopback only. Prints how many replies came per 100 probes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 256, LENGTH = 64, CONTROL = 256, GATHER_NS = 500000 };

static const long long SECOND = 1000000000;
static char probe[LENGTH], replies[BATCH][512], controls[BATCH][CONTROL];
static struct sockaddr_in targets[BATCH], sources[BATCH];
static struct iovec out_vector = { probe, LENGTH }, in_vectors[BATCH];
static struct mmsghdr out[BATCH], in[BATCH];

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static int opened(void)
{
    static const int reports[] = { IP_RECVTTL, IP_RECVTOS, IP_PKTINFO, IP_RECVERR };
    int fd = socket(AF_INET, SOCK_DGRAM, 0), yes = 1, room = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes);
    for (int i = 0; i < 4; i++)
        setsockopt(fd, IPPROTO_IP, reports[i], &yes, sizeof yes);
    return fd;
}

static int received(int fd)
{
    for (int i = 0; i < BATCH; i++) {
        in_vectors[i] = (struct iovec){ replies[i], sizeof replies[i] };
        in[i].msg_hdr = (struct msghdr){
            .msg_name = &sources[i],
            .msg_namelen = sizeof sources[i],
            .msg_iov = &in_vectors[i],
            .msg_iovlen = 1,
            .msg_control = controls[i],
            .msg_controllen = CONTROL,
        };
    }
    int count = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
    return count > 0 ? count : 0;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int port = atoi(argv[1]), fd = opened();
    long count = atol(argv[2]), total = count * atol(argv[3]), rate = atol(argv[4]);
    for (int i = 0; i < BATCH; i++) {
        targets[i] = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
        out[i].msg_hdr = (struct msghdr){
            .msg_name = &targets[i],
            .msg_namelen = sizeof targets[i],
            .msg_iov = &out_vector,
            .msg_iovlen = 1,
        };
    }
    prctl(PR_SET_TIMERSLACK, 1);
    long sent = 0, came = 0;
    long long start = now_ns(), heard = start;
    while (came < total && now_ns() - heard < SECOND) {
        long due = (now_ns() - start) * rate / SECOND + 1;
        int ready = 0;
        for (; ready < BATCH && sent + ready < due && sent + ready < total; ready++) {
            /* The addresses of `targets` in works.py. */
            long n = (sent + ready) % count;
            long address = 127L << 24 | (1 + n / 62500) << 16 | n / 250 % 250 << 8 | (n % 250 + 1);
            targets[ready].sin_addr.s_addr = htonl(address);
        }
        if (ready && sendmmsg(fd, out, ready, 0) != ready)
            return 1;
        sent += ready;
        struct timespec pause = { 0, GATHER_NS };
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        int got = received(fd);
        if (got)
            heard = now_ns();
        came += got;
    }
    printf("%ld%%\n", 100 * came / total);
    return 0;
}
