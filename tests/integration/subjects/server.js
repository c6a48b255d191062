// An HTTP server, and a client process that talks to it over one kept-alive connection on loopback; the client checks
// every answer, the server counts; how far they are is reported as tests/programs/subject.h does it: node server.js DIR
const fs = require('fs');
const http = require('http');
const {fork} = require('child_process');

const directory = process.argv[2];

function write(name, text) {
  const fd = fs.openSync(`${directory}/${name}`, fs.constants.O_WRONLY | fs.constants.O_CREAT, 0o666);
  fs.writeSync(fd, text.padEnd(255) + '\n', 0);
  fs.closeSync(fd);
}

function bad(why) {
  write('bad', why);
  process.exit(99);
}

function serve() {
  let count = 0;
  const kept = new Map();  // something on the heap to lose
  const connections = new Set();
  const server = http.createServer((request, response) => {
    connections.add(request.socket);
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', () => {
      const asked = JSON.parse(body);
      count += 1;
      kept.set(asked.number % 1000, 'x'.repeat(asked.number % 500) + asked.number);
      response.end(JSON.stringify({count, number: asked.number, kept: kept.get((asked.number + 1) % 1000) || null}));
    });
  });
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1', () => {
    const client = fork(__filename, [directory, 'client', String(server.address().port)]);
    client.on('exit', (code) => bad(`the client has ended with ${code}`));
    client.on('message', (message) => {
      if (message.answers !== count && message.answers !== count - 1) bad(`${message.answers} answers, ${count} served`);
      if (connections.size !== 1) bad(`${connections.size} connections have been made`);
    });
    setInterval(() => client.send({tick: count}), 20);
  });
}

function ask(port) {
  const agent = new http.Agent({keepAlive: true, maxSockets: 1});
  let number = 0;
  let ticks = 0;
  process.on('message', () => (ticks += 1));
  process.on('disconnect', () => process.exit(0));
  const next = () => {
    number += 1;
    const request = http.request({port, host: '127.0.0.1', method: 'POST', agent}, (response) => {
      let body = '';
      response.on('data', (part) => (body += part));
      response.on('end', () => {
        const answer = JSON.parse(body);
        const expected = number < 1000 ? null : 'x'.repeat((number - 999) % 500) + (number - 999);
        if (answer.count !== number || answer.number !== number) bad(`answer ${body} to number ${number}`);
        if (answer.kept !== expected) bad(`the server has kept ${answer.kept}, not ${expected}`);
        process.send({answers: number});
        if (number === 20) write('ready', String(process.ppid));
        if (number % 20 === 0 && ticks > 0) {
          ticks = 0;
          write('verdict', `ok ${number / 20}`);
        }
        setTimeout(next, 1);
      });
    });
    request.on('error', (error) => bad(`the connection: ${error}`));
    request.end(JSON.stringify({number}));
  };
  next();
}

if (process.argv[3] === 'client') ask(Number(process.argv[4]));
else serve();
