/* The least that a relay of UDP does: a connected socket per client, and one poll loop.
 * Usage: relay PORT UPSTREAM_PORT. Loopback only.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { CLIENTS = 1024, LONGEST = 65536 };

static struct sockaddr_in clients[CLIENTS];
static struct pollfd ready[CLIENTS + 1];
static int count;

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int upstream_of(struct sockaddr_in client, struct sockaddr_in upstream)
{
    for (int i = 0; i < count; i++)
        if (clients[i].sin_port == client.sin_port)
            return ready[i + 1].fd;
    if (count == CLIENTS)
        exit(1);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(fd, (struct sockaddr *)&upstream, sizeof upstream))
        exit(1);
    clients[count++] = client;
    ready[count] = (struct pollfd){ .fd = fd, .events = POLLIN };
    return fd;
}

int main(int argc, char **argv)
{
    static char buffer[LONGEST];
    if (argc != 3)
        return 2;
    struct sockaddr_in own = loopback(atoi(argv[1])), upstream = loopback(atoi(argv[2]));
    socklen_t length = sizeof own;
    int listener = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    /* As udpulse does, where that is permitted. */
    setsockopt(listener, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(listener, (struct sockaddr *)&own, length))
        return 1;
    ready[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
    while (poll(ready, count + 1, -1) > 0) {
        int clients_then = count;
        if (ready[0].revents) {
            struct sockaddr_in client;
            length = sizeof client;
            ssize_t got =
                recvfrom(listener, buffer, LONGEST, 0, (struct sockaddr *)&client, &length);
            if (got >= 0)
                send(upstream_of(client, upstream), buffer, got, 0);
        }
        for (int i = 0; i < clients_then; i++)
            if (ready[i + 1].revents) {
                ssize_t got = recv(ready[i + 1].fd, buffer, LONGEST, 0);
                if (got >= 0)
                    sendto(listener, buffer, got, 0, (struct sockaddr *)&clients[i], length);
            }
    }
    return 1;
}
