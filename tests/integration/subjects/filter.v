// Multiplications to be synthesized at several widths.
module stage #(parameter W = 16) (input clk, input [W-1:0] a, b, output reg [2*W-1:0] out);
  reg [W-1:0] x, y;
  always @(posedge clk) begin
    x <= a ^ (b << 3);
    y <= b + (a >> 2);
    out <= x * y + {y, x};
  end
endmodule

module top #(parameter W = 16) (input clk, input [W-1:0] a, b, output [2*W-1:0] p, q);
  wire [2*W-1:0] m;
  stage #(W) one(clk, a, b, p);
  stage #(W) two(clk, p[W-1:0], p[2*W-1:W], m);
  stage #(W) three(clk, m[W-1:0], m[2*W-1:W], q);
endmodule
