/* An echo server that receives and sends batches and does nothing else: it takes one length, 64 bytes,
 * and keeps nothing. If a whole batch is of one client, its answers leave in one piece (GSO).
 * Usage: batches PORT 0. Loopback only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, LENGTH = 64 };

static char memory[BATCH][LENGTH];
static struct sockaddr_in clients[BATCH];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

static int is_of_one(int count)
{
    for (int i = 1; i < count; i++)
        if (memcmp(&clients[i], &clients[0], sizeof clients[0]))
            return 0;
    return count > 1;
}

static void send_in_one_piece(int server, int count)
{
    struct iovec all = { memory, (size_t)count * LENGTH };
    uint16_t segment = LENGTH;
    char control[CMSG_SPACE(sizeof segment)] = { 0 };
    struct msghdr message = {
        .msg_name = &clients[0],
        .msg_namelen = sizeof clients[0],
        .msg_iov = &all,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(header), &segment, sizeof segment);
    sendmsg(server, &message, 0);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int server = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    setsockopt(server, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(server, (struct sockaddr *)&own, sizeof own))
        return 1;
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){ memory[i], LENGTH };
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &clients[i],
            .msg_namelen = sizeof clients[i],
            .msg_iov = &vectors[i],
            .msg_iovlen = 1,
        };
    }
    for (;;) {
        int count = recvmmsg(server, messages, BATCH, MSG_WAITFORONE, NULL);
        if (is_of_one(count))
            send_in_one_piece(server, count);
        else if (count > 0)
            sendmmsg(server, messages, count, 0);
    }
}
